# ./dev builds build/dev: only there are these the programs under test.
if(PROJECT_BINARY_DIR STREQUAL "${PROJECT_SOURCE_DIR}/build/dev")
	server_test(e2e_demo LABEL e2e TIMEOUT 180 COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/demo.sh)
	server_test(e2e_up LABEL e2e TIMEOUT 300 COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/up.sh)
endif()
