#include "attach/vfio/binding.h"

#include <string.h>

#include "attach/step/crash.h"
#include "attach/vfio/kernel.h"
#include "pci/device.h"

/* errno of the write, or 0. */
static int write_attribute(const struct vfio_host *host, struct pci_address address,
			   const char *name, const char *text)
{
	const struct vfio_kernel *kernel = vfio_kernel_of(host);
	cleanup(buf_deinit) struct buf path = { 0 };
	function_path(host, address, name, &path);
	return kernel->write(kernel->context, path.data, text);
}

static int gone(struct pci_address address, struct vfio_problem *problem)
{
	return vfio_problem_set(problem, ATTACH_DEVICE_GONE, "%s has vanished from the PCI bus",
				function_name(address).text);
}

/* How the kernel took a write after which things are not as they should be. */
static const char *kernel_said(int write_errno)
{
	return write_errno ? strerror(write_errno)
			   : "the kernel took the write, and nothing happened";
}

int binding_override(const struct vfio_host *host, struct pci_address address,
		     char ret_driver[UNIT_DRIVER_BYTES])
{
	char text[UNIT_DRIVER_BYTES];
	if (function_text(host, address, "driver_override", text, sizeof(text)))
		return 1;
	pci_copy_text(ret_driver, UNIT_DRIVER_BYTES, strcmp(text, "(null)") == 0 ? "" : text);
	return 0;
}

int binding_set_override(const struct vfio_host *host, struct pci_address address,
			 const char *driver, enum attach_code code, struct vfio_problem *problem)
{
	int error = write_attribute(host, address, "driver_override", *driver ? driver : "\n");
	char now[UNIT_DRIVER_BYTES] = "";
	int r = binding_override(host, address, now);
	if (r == 0 && strcmp(now, driver) == 0)
		return 0;
	if (!function_is_present(host, address))
		return gone(address, problem);
	return vfio_problem_set(problem, code, "driver_override of %s cannot be %s%s: %s",
				function_name(address).text, *driver ? "set to " : "cleared",
				driver, kernel_said(error));
}

int binding_unbind(const struct vfio_host *host, struct pci_address address, enum attach_code code,
		   struct vfio_problem *problem)
{
	char driver[UNIT_DRIVER_BYTES];
	int r = function_driver(host, address, driver);
	if (r == 0 && !*driver)
		return 0;
	int error = write_attribute(host, address, "driver/unbind", function_name(address).text);
	r = function_driver(host, address, driver);
	if (r == 0 && !*driver)
		return 0;
	if (!function_is_present(host, address))
		return gone(address, problem);
	return vfio_problem_set(problem, code, "driver %s did not let go of %s: %s",
				r ? "(unreadable)" : driver, function_name(address).text,
				kernel_said(error));
}

int binding_probe(const struct vfio_host *host, struct pci_address address, const char *expected,
		  enum attach_code code, struct vfio_problem *problem)
{
	const struct vfio_kernel *kernel = vfio_kernel_of(host);
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/bus/pci/drivers_probe", host->sysfs_dir);
	int error = kernel->write(kernel->context, path.data, function_name(address).text);

	char driver[UNIT_DRIVER_BYTES] = "";
	int r = function_driver(host, address, driver);
	if (r == 0 && (!expected || strcmp(driver, expected) == 0))
		return 0;
	if (!function_is_present(host, address))
		return gone(address, problem);
	return vfio_problem_set(problem, code, "%s did not get driver %s but %s: %s",
				function_name(address).text, expected ? expected : "(any)",
				r	  ? "one that cannot be read"
				: *driver ? driver
					  : "none",
				kernel_said(error));
}

/* Off vfio-pci; another driver that has come between stays. */
static int leave_vfio(const struct vfio_host *host, struct pci_address address, const char *wanted,
		      enum attach_code code, struct vfio_problem *problem)
{
	char now[UNIT_DRIVER_BYTES];
	if (function_driver(host, address, now))
		return function_is_present(host, address)
			       ? vfio_problem_set(problem, code, "the driver of %s cannot be read",
						  function_name(address).text)
			       : gone(address, problem);
	if (pci_driver_is_vfio(now))
		return binding_unbind(host, address, code, problem);
	if (*now && wanted && strcmp(now, wanted) != 0)
		return vfio_problem_set(problem, code, "%s has driver %s now, not %s",
					function_name(address).text, now,
					*wanted ? wanted : "none as before");
	return 0;
}

static int find_driver(const struct vfio_host *host, struct pci_address address, const char *driver,
		       enum attach_code code, struct vfio_problem *problem)
{
	/* With its name in the override no other driver can take the function, and the id tables of drivers
	 * that were chosen by an override before do not matter. */
	int r = binding_set_override(host, address, driver, code, problem);
	return r ? r : binding_probe(host, address, driver, code, problem);
}

int binding_return(const struct vfio_host *host, struct pci_address address, const char *driver,
		   const char *override, enum attach_code code, struct vfio_problem *problem)
{
	char now[UNIT_DRIVER_BYTES];
	int r = 0;
	if (driver && function_driver(host, address, now) == 0 && strcmp(now, driver) == 0)
		return binding_set_override(host, address, override, code, problem);

	r = leave_vfio(host, address, driver, code, problem);
	crash_point("give-back-unbound");
	if (r == 0 && driver && *driver)
		r = find_driver(host, address, driver, code, problem);
	crash_point("give-back-bound");

	struct vfio_problem second;
	int cleared = binding_set_override(host, address, override, code, &second);
	if (r == 0 && cleared)
		*problem = second;
	crash_point("give-back-override-cleared");
	if (r || cleared || driver)
		return r ? r : cleared;
	return binding_probe(host, address, NULL, code, problem);
}
