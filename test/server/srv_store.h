/*
 * srv_store.h - the store as a whole: its options and the modules that all threads share.
 */
#ifndef TEST_SERVER_SRV_STORE_H
#define TEST_SERVER_SRV_STORE_H

#include "test/server/srv_count.h"
#include "test/server/srv_cred.h"
#include "test/server/srv_fault.h"
#include "test/server/srv_index.h"
#include "test/server/srv_limit.h"
#include "test/server/srv_sign.h"

#include <openssl/types.h>

#define SRV_LISTEN_MAX 16

struct srv_hasher;
struct srv_uploads;
struct srv_loop;

struct srv_options {
	const char *listen[SRV_LISTEN_MAX + 1]; /* ADDRESS:PORT, NULL at the end */
	const char *tls_listen[SRV_LISTEN_MAX + 1];
	const char *tls_cert;
	const char *tls_key;
	const char *root;
	const char *region;
	const char *suffixes[SRV_LISTEN_MAX + 1];
	const char *ready_file;
	unsigned threads;
	bool virtual_only;
	bool verbose;
	uint64_t min_part; /* least size of a part that is not the last */
	struct srv_sign_rules sign;
};

struct srv_store {
	const struct srv_options *options;
	struct srv_index *index;
	struct srv_creds *creds;
	struct srv_faults *faults;
	struct srv_hasher *hasher;
	struct srv_uploads *uploads;
	struct srv_limits limits;
	struct srv_counts counts;
	SSL_CTX *tls;
	struct srv_loop *loops; /* options->threads of them */
	_Atomic unsigned next_loop;
	_Atomic uint64_t next_id; /* of requests and connections */
};

#endif
