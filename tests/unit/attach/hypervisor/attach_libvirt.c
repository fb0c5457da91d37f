/*
 * libvirt's own QEMU driver in the process (qemu:///embed), with VMs that it emulates, each call in a process
 * of its own as steps are. There is no IOMMU here, so no device is attached for good: see tests/passthrough.
 *
 * As root the driver wants Debian's user libvirt-qemu, which the packages of the daemon make; the test goes on
 * as nobody instead.
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/hypervisor/libvirt_api.h"
#include "fixture.h"

#define UNIT "0000:01:00.0 0000:01:00.1"
#define UUID "6f0f0f35-9c9a-4b8e-9f2c-6c7b8a1d2e3f"

static const char machine[] =
	"<domain type='qemu'><name>%s</name>%s<memory unit='MiB'>32</memory><vcpu>1</vcpu>"
	"<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
	"<controller type='pci' index='0' model='pcie-root'/>"
	"<controller type='pci' index='1' model='pcie-root-port'/>"
	"<controller type='pci' index='2' model='pcie-root-port'/>"
	"<controller type='usb' model='none'/><memballoon model='none'/>%s</devices></domain>";

static const char hostdevs[] =
	"<hostdev mode='subsystem' type='pci' managed='no'><driver name='vfio'/><source>"
	"<address domain='0' bus='1' slot='0' function='0'/></source></hostdev>"
	"<hostdev mode='subsystem' type='pci' managed='no'><driver name='vfio'/><source>"
	"<address domain='0' bus='1' slot='0' function='1'/></source></hostdev>";

static char dir[] = "/tmp/gpubus-libvirt.XXXXXX";
static char uri[128];

/* ---- processes ------------------------------------------------------------------------------- */

typedef struct answer (*step_fn)(const char *vm);

/* A step's process: its libvirt begins anew, and its answer comes through a pipe. */
static struct answer in_process(step_fn step, const char *vm)
{
	int ends[2];
	assert_return_code(pipe(ends), errno);
	pid_t pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		struct answer answer = step(vm);
		_exit(write(ends[1], &answer, sizeof(answer)) != sizeof(answer));
	}
	close(ends[1]);
	struct answer answer;
	assert_int_equal(read(ends[0], &answer, sizeof(answer)), sizeof(answer));
	close(ends[0]);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return answer;
}

static struct answer look(const char *vm)
{
	cleanup(hypervisor_freep) struct hypervisor *libvirt = fixture_hypervisor("libvirt", uri);
	return fixture_look(libvirt, vm, UNIT, IN_TIME_MS);
}

static struct answer look_soon(const char *vm)
{
	cleanup(hypervisor_freep) struct hypervisor *libvirt = fixture_hypervisor("libvirt", uri);
	return fixture_look(libvirt, vm, UNIT, SOON_MS);
}

static struct answer plug(const char *vm)
{
	cleanup(hypervisor_freep) struct hypervisor *libvirt = fixture_hypervisor("libvirt", uri);
	return fixture_plug(libvirt, vm, UNIT, IN_TIME_MS);
}

static struct answer unplug(const char *vm)
{
	cleanup(hypervisor_freep) struct hypervisor *libvirt = fixture_hypervisor("libvirt", uri);
	return fixture_unplug(libvirt, vm, UNIT, IN_TIME_MS);
}

/* ---- what the owner of the VMs does ---------------------------------------------------------- */

static virConnectPtr open_root(void)
{
	struct buf error = { 0 };
	const struct libvirt_api *api;
	if (libvirt_api_load(&api, &error))
		fail_msg("%s", error.data);
	virConnectPtr connection = virConnectOpen(uri);
	if (!connection)
		fail_msg("%s", libvirt_words(api));
	return connection;
}

/* `r`: 0 on success. */
static struct answer owner_did(virConnectPtr connection, int r)
{
	struct answer answer = { .r = r };
	if (r)
		print_message("             libvirt: %s\n", virGetLastErrorMessage());
	virConnectClose(connection);
	return answer;
}

static struct answer start_transient(const char *vm)
{
	char xml[4096];
	snprintf(xml, sizeof(xml), machine, vm, "<uuid>" UUID "</uuid>", "");
	virConnectPtr connection = open_root();
	return owner_did(connection, !virDomainCreateXML(connection, xml, 0));
}

static struct answer define_with_devices(const char *vm)
{
	char xml[4096];
	snprintf(xml, sizeof(xml), machine, vm, "", hostdevs);
	virConnectPtr connection = open_root();
	return owner_did(connection, !virDomainDefineXML(connection, xml));
}

static struct answer start_persistent(const char *vm)
{
	char xml[4096];
	snprintf(xml, sizeof(xml), machine, vm, "", "");
	virConnectPtr connection = open_root();
	virDomainPtr domain = virDomainDefineXML(connection, xml);
	return owner_did(connection, domain ? virDomainCreate(domain) : -1);
}

/* n_plugged: the host devices of the persistent definition. */
static struct answer count_in_config(const char *vm)
{
	virConnectPtr connection = open_root();
	virDomainPtr domain = virDomainLookupByName(connection, vm);
	char *xml = domain ? virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE) : NULL;
	struct answer answer = owner_did(connection, !xml);
	for (const char *at = xml; at && (at = strstr(at, "<hostdev")); at++)
		answer.n_plugged++;
	return answer;
}

/* 0: it does not run. */
static pid_t pid_of(const char *vm)
{
	char path[128];
	int pid = 0;
	snprintf(path, sizeof(path), "%s/root/run/qemu/%s.pid", dir, vm);
	FILE *file = fopen(path, "r");
	if (!file || fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid;
}

static void kill_vm(const char *vm)
{
	pid_t pid = pid_of(vm);
	assert_true(pid > 0);
	assert_return_code(kill(pid, SIGKILL), errno);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void check_vm(const char *vm, enum vm_presence presence, size_t n_plugged)
{
	struct answer answer = in_process(look, vm);
	assert_int_equal(answer.r, 0);
	assert_int_equal(answer.vm, presence);
	assert_int_equal(answer.n_plugged, n_plugged);
}

static void a_vm_that_libvirt_does_not_know_is_absent(void **state)
{
	(void)state;
	check_vm("nobody", VM_ABSENT, 0);
	check_vm(UUID, VM_ABSENT, 0);
	assert_int_equal(in_process(plug, "nobody").r, HYPERVISOR_VM_ABSENT);
	assert_int_equal(in_process(unplug, "nobody").r, 0);
}

static void a_vm_of_another_process_runs_until_it_is_killed(void **state)
{
	(void)state;
	assert_int_equal(in_process(start_transient, "vm-1").r, 0);
	check_vm("vm-1", VM_RUNNING, 0);
	check_vm(UUID, VM_RUNNING, 0);
	assert_int_equal(in_process(unplug, "vm-1").r, 0);
	kill_vm("vm-1");
	check_vm("vm-1", VM_ABSENT, 0);
	assert_int_equal(in_process(plug, "vm-1").r, HYPERVISOR_VM_ABSENT);
	assert_int_equal(in_process(unplug, "vm-1").r, 0);
}

static void without_an_iommu_a_device_is_refused_and_nothing_remains(void **state)
{
	(void)state;
	assert_int_equal(in_process(start_persistent, "vm-2").r, 0);
	struct answer answer = in_process(plug, "vm-2");
	assert_int_equal(answer.r, HYPERVISOR_REFUSED);
	fixture_says(&answer, "no IOMMU in use");
	fixture_says(&answer, "host doesn't support");
	check_vm("vm-2", VM_RUNNING, 0);
	assert_int_equal(in_process(count_in_config, "vm-2").n_plugged, 0);
	kill_vm("vm-2");
	check_vm("vm-2", VM_ABSENT, 0);
}

static void a_vm_that_is_shut_off_gives_its_devices_back_too(void **state)
{
	(void)state;
	assert_int_equal(in_process(define_with_devices, "vm-3").r, 0);
	check_vm("vm-3", VM_ABSENT, 0);
	struct answer answer = in_process(plug, "vm-3");
	assert_int_equal(answer.r, HYPERVISOR_VM_ABSENT);
	fixture_says(&answer, "shut off");
	assert_int_equal(in_process(count_in_config, "vm-3").n_plugged, 2);
	assert_int_equal(in_process(unplug, "vm-3").r, 0);
	assert_int_equal(in_process(count_in_config, "vm-3").n_plugged, 0);
	assert_int_equal(in_process(unplug, "vm-3").r, 0);
}

static void a_root_that_another_process_has_is_waited_for(void **state)
{
	(void)state;
	int opened[2], close_it[2];
	char byte = 0;
	assert_return_code(pipe(opened), errno);
	assert_return_code(pipe(close_it), errno);
	pid_t pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		close(close_it[1]);
		virConnectPtr connection = open_root();
		/* Until the test closes its end, or is dead. */
		_exit(write(opened[1], &byte, 1) != 1 || read(close_it[0], &byte, 1) != 0 ||
		      virConnectClose(connection) != 0);
	}
	close(close_it[0]);
	assert_int_equal(read(opened[0], &byte, 1), 1);
	struct answer answer = in_process(look_soon, "vm-1");
	assert_int_equal(answer.r, HYPERVISOR_SILENT);
	fixture_says(&answer, "libvirt cannot connect");
	close(close_it[1]);
	check_vm("vm-1", VM_ABSENT, 0);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(opened[0]);
	close(opened[1]);
}

static void a_daemon_that_does_not_run_is_silent(void **state)
{
	(void)state;
	char saved[sizeof(uri)];
	memcpy(saved, uri, sizeof(uri));
	snprintf(uri, sizeof(uri), "qemu+unix:///system?socket=%s/none", dir);
	struct answer answer = in_process(look, "vm-1");
	memcpy(uri, saved, sizeof(uri));
	assert_int_equal(answer.r, HYPERVISOR_SILENT);
	fixture_says(&answer, "libvirt cannot connect");
}

/* ---- the root -------------------------------------------------------------------------------- */

static const char conf[] = "stdio_handler = \"file\"\n"
			   "security_driver = \"none\"\n"
			   "namespaces = []\n"
			   "cgroup_controllers = []\n"
			   "remember_owner = 0\n";

static int setup(void **state)
{
	(void)state;
	enum { NOBODY = 65534 };
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		return -1;
	if (!mkdtemp(dir))
		return -1;
	char path[128];
	snprintf(uri, sizeof(uri), "qemu:///embed?root=%s/root", dir);
	snprintf(path, sizeof(path), "%s/root", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/root/etc", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/root/etc/qemu.conf", dir);
	FILE *file = fopen(path, "w");
	if (!file || fputs(conf, file) < 0 || fclose(file) != 0)
		return -1;
	return setenv("HOME", dir, 1);
}

static int teardown(void **state)
{
	(void)state;
	/* After a failure. */
	const char *const vms[] = { "vm-1", "vm-2" };
	for (size_t i = 0; i < 2; i++)
		if (pid_of(vms[i]) > 0)
			kill(pid_of(vms[i]), SIGKILL);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vm_that_libvirt_does_not_know_is_absent),
		cmocka_unit_test(a_vm_of_another_process_runs_until_it_is_killed),
		cmocka_unit_test(without_an_iommu_a_device_is_refused_and_nothing_remains),
		cmocka_unit_test(a_vm_that_is_shut_off_gives_its_devices_back_too),
		cmocka_unit_test(a_root_that_another_process_has_is_waited_for),
		cmocka_unit_test(a_daemon_that_does_not_run_is_silent),
	};
	return cmocka_run_group_tests_name("attach: libvirt", tests, setup, teardown);
}
