# Each program runs on librdkafka's mock cluster, where faults can be made, and on a real Kafka.
foreach(part group producer reader)
	add_executable(bus_${part}_test bus/${part}_test.c bus/fixture.c)
	target_link_libraries(bus_${part}_test PRIVATE bus PkgConfig::RDKAFKA PkgConfig::CMOCKA)
	server_test(bus_${part}_mock LABEL integration COMMAND $<TARGET_FILE:bus_${part}_test>)
	server_test(bus_${part}_kafka LABEL integration SERVERS kafka COMMAND $<TARGET_FILE:bus_${part}_test>)
endforeach()

add_executable(bus-bench bus/bus_bench.c bus/fixture.c)
target_link_libraries(bus-bench PRIVATE bus PkgConfig::RDKAFKA PkgConfig::CMOCKA)

add_executable(bus_topics_test bus/topics_test.c)
target_link_libraries(bus_topics_test PRIVATE bus PkgConfig::RDKAFKA PkgConfig::CMOCKA)
server_test(bus_topics LABEL integration SERVERS kafka COMMAND $<TARGET_FILE:bus_topics_test>)
