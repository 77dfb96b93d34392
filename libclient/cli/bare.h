/*
 * bare.h - why a program does not load the preload library: it is static, setuid,
 * of another architecture, ...  Looks at the file, knows no process.
 */
#ifndef LIBCLIENT_CLI_BARE_H
#define LIBCLIENT_CLI_BARE_H

/* A sentence; of a file that seems able to load it, that it did not. */
const char *bare_reason(const char *program);

#endif
