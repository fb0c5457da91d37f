/*
 * The verbs that have no header of their own. argv[0] is the verb; the result is an exit_status.
 */
#pragma once

int cli_audit(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_get(int argc, char **argv);
int cli_gpu(int argc, char **argv);
int cli_host(int argc, char **argv);
int cli_migrate_check(int argc, char **argv);
int cli_publish(int argc, char **argv);
int cli_release(int argc, char **argv);
int cli_request(int argc, char **argv);
int cli_tail(int argc, char **argv);
int cli_topics(int argc, char **argv);
