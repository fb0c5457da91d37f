server_test(e2e_cli LABEL e2e SERVERS kafka redis TIMEOUT 180 COMMAND
	${PROJECT_SOURCE_DIR}/build/venv/bin/python ${CMAKE_CURRENT_LIST_DIR}/cli.py)
