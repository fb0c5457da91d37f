server_test(e2e_out_of_service LABEL e2e SERVERS kafka redis TIMEOUT 180 COMMAND
	${PROJECT_SOURCE_DIR}/build/venv/bin/python ${CMAKE_CURRENT_LIST_DIR}/out_of_service.py)
