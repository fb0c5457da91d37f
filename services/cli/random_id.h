/*
 * Ids that are drawn: of requests that people make without naming them, and of traces.
 */
#pragma once

enum { RANDOM_UUID_BYTES = 37, RANDOM_TRACEPARENT_BYTES = 56 };

void random_uuid(char text[RANDOM_UUID_BYTES]);
/* A new trace, sampled. Source: W3C Trace Context 1, section 3.2. */
void random_traceparent(char text[RANDOM_TRACEPARENT_BYTES]);
