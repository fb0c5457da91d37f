# The inventory service on a real Kafka, seen by a client in another language that reads schemas/ only.
server_test(inventory_service LABEL integration SERVERS kafka TIMEOUT 180
	COMMAND ${PROJECT_SOURCE_DIR}/build/venv/bin/python ${CMAKE_CURRENT_LIST_DIR}/inventory_service.py)
