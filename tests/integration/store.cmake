# The store against a real redis-server, which each program starts for itself.
add_library(store_owner STATIC store/owner.c)
target_link_libraries(store_owner PUBLIC store loop test_redis_server PkgConfig::CMOCKA project_flags)

foreach(name store_connect store_cost store_faults store_follow store_library)
	add_executable(integration_${name} store/${name}.c)
	target_link_libraries(integration_${name} PRIVATE store_owner)
	add_test(NAME integration_${name} COMMAND integration_${name})
	set_tests_properties(integration_${name} PROPERTIES LABELS integration TIMEOUT 120)
endforeach()
