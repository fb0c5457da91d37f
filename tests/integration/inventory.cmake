# The inventory service on a real Kafka, seen by a client in another language that reads schemas/ only; and the
# same GPUs without a bus.
set(python ${PROJECT_SOURCE_DIR}/build/venv/bin/python)
server_test(inventory_service LABEL integration SERVERS kafka TIMEOUT 180
	COMMAND ${python} ${CMAKE_CURRENT_LIST_DIR}/inventory_service.py)
server_test(inventory_scan LABEL integration COMMAND ${python} ${CMAKE_CURRENT_LIST_DIR}/inventory_scan.py)
