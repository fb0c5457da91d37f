# Our bytes against those of another implementation of Avro, in another language.
set(GPUBUS_PYTHON ${PROJECT_SOURCE_DIR}/build/venv/bin/python CACHE FILEPATH
	"Python with the packages of tests/support/requirements.txt")

add_executable(codec_pipe codec_pipe.c)
target_link_libraries(codec_pipe PRIVATE codec)
add_test(NAME codec_foreign COMMAND ${GPUBUS_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/avro_foreign.py
	$<TARGET_FILE:codec_pipe> ${PROJECT_SOURCE_DIR}/schemas)
set_tests_properties(codec_foreign PROPERTIES LABELS codec TIMEOUT 120)
