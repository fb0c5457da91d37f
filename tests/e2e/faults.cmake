server_test(e2e_faults LABEL e2e SERVERS kafka redis TIMEOUT 400 COMMAND
	${PROJECT_SOURCE_DIR}/build/venv/bin/python ${CMAKE_CURRENT_LIST_DIR}/faults.py)
# Gaps between answers are measured.
set_tests_properties(e2e_faults PROPERTIES RUN_SERIAL TRUE)
