add_executable(bus-bench bus/bus_bench.c bus/fixture.c)
target_link_libraries(bus-bench PRIVATE bus PkgConfig::RDKAFKA PkgConfig::CMOCKA)
