# Writes a C file with the Lua library as bytes and its version: cmake -DSOURCE=... -DOUTPUT=... -P this
file(STRINGS ${SOURCE} version_line REGEX "^local VERSION = [0-9]+$")
string(REGEX REPLACE "^local VERSION = " "" version "${version_line}")
if(NOT version)
	message(FATAL_ERROR "${SOURCE}: no line 'local VERSION = N'")
endif()
file(READ ${SOURCE} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"store/library.h\"
const int store_library_version = ${version};
const char store_library_source[] = { ${bytes}0 };
const size_t store_library_source_len = sizeof(store_library_source) - 1;
")
