# A test with servers of its own (see with.sh):
#
#   server_test(NAME LABEL integration|e2e [SERVERS kafka redis] [TIMEOUT SECONDS] COMMAND ...)
#
# The command finds KAFKA_BOOTSTRAP, REDIS_URL and TEST_DIR (private, removed after success) in its environment,
# and BUILD_DIR (where the programs are), SOURCE_DIR, TEST_DATA and PYTHON (with tests/support/requirements.txt).
function(server_test name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT" "SERVERS;COMMAND")
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 120)
	endif()
	add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/support/with.sh ${arg_SERVERS} -- ${arg_COMMAND})
	set_tests_properties(${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} ENVIRONMENT
		"BUILD_DIR=${PROJECT_BINARY_DIR};SOURCE_DIR=${PROJECT_SOURCE_DIR};TEST_DATA=${PROJECT_SOURCE_DIR}/tests/data;PYTHON=${PROJECT_SOURCE_DIR}/build/venv/bin/python")
endfunction()
