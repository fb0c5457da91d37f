# The agent on a real Kafka; its host is played by a directory and a step program of the test's own.
set(python ${PROJECT_SOURCE_DIR}/build/venv/bin/python)
server_test(attach_service LABEL integration SERVERS kafka TIMEOUT 180
	COMMAND ${python} ${CMAKE_CURRENT_LIST_DIR}/attach/service.py)
server_test(attach_faults LABEL integration SERVERS kafka TIMEOUT 240
	COMMAND ${python} ${CMAKE_CURRENT_LIST_DIR}/attach/faults.py)
if(GPUBUS_CRASH_POINTS)
	server_test(attach_crashes LABEL integration SERVERS kafka TIMEOUT 300
		COMMAND ${python} ${CMAKE_CURRENT_LIST_DIR}/attach/crashes.py)
endif()
server_test(attach_real_step LABEL integration SERVERS kafka TIMEOUT 180
	COMMAND ${python} ${CMAKE_CURRENT_LIST_DIR}/attach/real_step.py)
