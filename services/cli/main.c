/*
 * gpubus: one program with a verb for each thing that people, scripts and upstream systems do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/scan.h"
#include "service/options.h"

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "request", "ask for the GPUs of a VM", cli_request },
	{ "release", "ask that a VM's GPUs are taken back", cli_release },
	{ "migrate-check", "ask whether a VM could migrate to another host", cli_migrate_check },
	{ "host", "cordon a host: it gets no new VMs; or uncordon it", cli_host },
	{ "gpu", "put a GPU into quarantine, or return it from there", cli_gpu },
	{ "get", "show pools, hosts, gpus, types, vms, requests or marks as Redis has them",
	  cli_get },
	{ "publish", "publish any event from JSON", cli_publish },
	{ "tail", "show what goes over the topics", cli_tail },
	{ "audit", "check the whole log, and Redis against it", cli_audit },
	{ "topics", "create the Kafka topics, or check their settings", cli_topics },
	{ "doctor", "say what stops GPUs of this machine from reaching VMs", cli_doctor },
	{ "scan", "show the GPUs of this machine, without a bus", cli_scan },
};

enum { COMMANDS = sizeof(commands) / sizeof(*commands) };

static void print_help(FILE *out)
{
	fputs("Usage: gpubus VERB [OPTIONS]\n"
	      "\n"
	      "Gives virtual machines physical GPUs: publishes requests, shows answers and state.\n"
	      "\n"
	      "Verbs:\n",
	      out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "`gpubus VERB --help` has the options of each, and examples. All verbs know -o "
	      "json.\n"
	      "Kafka and Redis are found by GPUBUS_KAFKA_BOOTSTRAP_SERVERS (or KAFKA_BOOTSTRAP) "
	      "and\n"
	      "GPUBUS_REDIS_URL (or REDIS_URL) in the environment, or by --bootstrap and --redis.\n"
	      "\n"
	      "Examples:\n"
	      "  gpubus get gpus\n"
	      "  gpubus request --pool 1 --vm vm-1 --gpu 'GP104GL [Tesla P4]=2' --wait\n"
	      "  gpubus release --pool 1 --vm vm-1 --wait\n"
	      "  gpubus tail answers --from beginning\n"
	      "\n" STATUS_TEXT,
	      out);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int help(int argc, char **argv)
{
	const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
	if (command)
		return command->run(2, (char *[]){ argv[1], "--help", NULL });
	print_help(stdout);
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	/* What is information to a service is noise to whoever waits for an answer. */
	setenv("GPUBUS_LOG_LEVEL", "error", 0);
	if (argc < 2) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
		return help(argc - 1, argv + 1);
	if (strcmp(name, "--version") == 0) {
		options_print_version("gpubus");
		return STATUS_OK;
	}
	const struct command *command = find_command(name);
	if (command)
		return command->run(argc - 1, argv + 1);
	fprintf(stderr, "gpubus: there is no verb \"%s\"; see gpubus --help\n", name);
	return STATUS_USAGE;
}
