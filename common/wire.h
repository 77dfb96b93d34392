/*
 * wire.h - everything that a client and the daemon say to each other: the
 * messages of the control socket and the memory that a session shares.
 * Layouts only; nothing here allocates, blocks or trusts the other side.
 *
 * The control socket is AF_UNIX SOCK_SEQPACKET: one message, one packet of at
 * most WIRE_MAX bytes, descriptors by SCM_RIGHTS.  The client asks, the daemon
 * answers with the same type and seq; answers may come in another order.  An
 * answer with a negative status carries a sentence for the user instead of a
 * body (struct wire_error).  Integers are in host order: both ends are one node.
 *
 * Strings follow a fixed part: each has its length in the table `len`, in the
 * order of its enum, and no NUL of its own (wire_pack(), wire_unpack()).
 */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC   0x4353534fu /* "OSSC" */
#define WIRE_VERSION 1u
#define WIRE_MAX     16384u

enum wire_type {
	WIRE_HELLO = 1, /* first on every connection */
	WIRE_MOUNT,
	WIRE_SNAPSHOT, /* the newest snapshot of a mount, refreshed first if asked */
	WIRE_OPEN,
	WIRE_CLOSE,
	WIRE_PIN,
	WIRE_UNPIN,
	WIRE_PREFETCH,
	WIRE_UMOUNT,
	WIRE_STATUS, /* a memory file with JSON */
	WIRE_VERIFY, /* wait until the object's CRC is known and checked */
	WIRE_LIST,   /* what one directory holds, before a long first listing has reached it */
	WIRE_NR_TYPES,
};

struct wire_head {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t seq;
	int32_t status; /* requests: 0; answers: 0 or a negative errno */
	uint32_t len;	/* of the whole message, this head included */
	uint32_t reserved;
};
static_assert(sizeof(struct wire_head) == 24, "wire layout");

#define WIRE_ERROR_TEXT 512
struct wire_error {
	struct wire_head head;
	char text[WIRE_ERROR_TEXT]; /* NUL-terminated: what was wrong and what to do */
};

/* ---- HELLO: answer carries 3 descriptors: session memory, kick, notify -------- */

struct wire_hello {
	struct wire_head head;
	uint32_t wire_version; /* repeated: a daemon of another version still reads it here */
	uint32_t flags;
	char version[32]; /* of the client, for the log */
};

struct wire_hello_answer {
	struct wire_head head;
	uint32_t wire_version;
	uint32_t session;
	uint32_t daemon_uid;
	uint32_t daemon_pid;
	char version[32];
};

/* ---- MOUNT: answer carries 2 descriptors: chunk table, snapshot --------------- */

enum wire_mount_string {
	WIRE_MOUNT_OSS_PATH,  /* oss://bucket/prefix/ or s3://... */
	WIRE_MOUNT_MODEL_DIR, /* for the log and for telling mounts apart; may be empty */
	WIRE_MOUNT_ENDPOINT,
	WIRE_MOUNT_REGION,
	WIRE_MOUNT_ACCESS_KEY, /* these three may be empty: anonymous or the daemon's own */
	WIRE_MOUNT_SECRET,
	WIRE_MOUNT_TOKEN,
	WIRE_MOUNT_SOURCES, /* HTTP_SOURCE_IP */
	WIRE_MOUNT_NR_STRINGS,
};

enum wire_mount_flags {
	WIRE_MOUNT_SECONDARY = 1 << 0, /* -ENOENT while no primary has made the mount */
	WIRE_MOUNT_PREFETCH = 1 << 1,  /* a primary: download ahead of the first read */
	WIRE_MOUNT_KEEP = 1 << 2,      /* stay until UMOUNT, without any session */
	WIRE_MOUNT_REFRESH = 1 << 3,   /* list again even if the mount exists */
	WIRE_MOUNT_PARTS = 1 << 4,     /* SNAPSHOT_UNLISTED is understood: do not wait for all */
};

struct wire_mount {
	struct wire_head head;
	uint32_t flags;
	uint16_t len[WIRE_MOUNT_NR_STRINGS];
	uint32_t reserved;
	char strings[];
};
static_assert(offsetof(struct wire_mount, strings) == 48, "wire layout");

struct wire_mount_answer {
	struct wire_head head;
	uint32_t mount; /* names the mount in this session */
	uint32_t chunk_shift;
	uint64_t snapshot_serial;
	uint64_t snapshot_len; /* bytes to map */
	uint64_t table_len;    /* bytes to map */
};

/* ---- SNAPSHOT, LIST: answer is wire_mount_answer with one descriptor: snapshot -- */

enum wire_snapshot_flags {
	WIRE_SNAPSHOT_REFRESH = 1 << 0, /* list again before answering */
};

struct wire_snapshot {
	struct wire_head head;
	uint32_t mount;
	uint32_t flags;
};

/* ---- OPEN: answer carries 1 descriptor: the object's memory, read-only -------- */

struct wire_open {
	struct wire_head head;
	uint32_t mount;
	uint16_t path_len; /* relative to the mount, no leading slash */
	uint16_t reserved;
	char path[];
};

enum wire_mmap { /* the key mmap of the configuration, for whoever maps files */
	WIRE_MMAP_AUTO,
	WIRE_MMAP_LAZY,
	WIRE_MMAP_RESIDENT,
};

struct wire_open_answer {
	struct wire_head head;
	uint32_t object; /* names the open object in this session; not 0 */
	uint32_t mmap;	 /* enum wire_mmap */
	uint64_t size;
	uint64_t first_word; /* index of chunk 0's word in the chunk table */
	uint64_t ino;
	int64_t mtime_ns;
	char etag[72]; /* NUL-terminated, without quotes */
};

/* ---- CLOSE, PIN, UNPIN, PREFETCH, UMOUNT, VERIFY ------------------------------ */

enum wire_verify_flags {
	WIRE_VERIFY_STORE = 1 << 0, /* say what the store says, whether all bytes came or not */
};

struct wire_object { /* CLOSE, VERIFY; the answer of CLOSE is a bare head */
	struct wire_head head;
	uint32_t object;
	uint32_t flags; /* CLOSE: 0 */
};

struct wire_verify_answer {
	struct wire_head head; /* -EIO: the bytes do not have the store's CRC */
	uint64_t crc64;
	uint32_t known; /* 0: the store gave no CRC, or verify is off */
	uint32_t reserved;
};

/* PIN: the chunks stay from the answer on (present or not yet); -ENOSPC: too many pins. */
struct wire_pin {
	struct wire_head head;
	uint32_t object;
	uint32_t first_chunk;
	uint32_t nr_chunks;
	uint32_t reserved;
};

/* PREFETCH (a file, a directory, or "" for all), LIST (a directory), UMOUNT (path unused) */
struct wire_path {
	struct wire_head head;
	uint32_t mount;
	uint16_t path_len;
	uint16_t reserved;
	char path[];
};

struct wire_status_answer { /* carries 1 descriptor: a memory file with the JSON text */
	struct wire_head head;
	uint64_t text_len;
};

/* ---- session memory ------------------------------------------------------------
 *
 *  submission ring   client -> daemon   many client threads, one at a time
 *  completion ring   daemon -> client
 *  touch log         client -> daemon   lossy; written without any lock
 *
 * The client signals `kick` after pushing when the ring shows RING_NEED_WAKEUP;
 * the daemon signals `notify` likewise.
 */

enum wire_op {
	WIRE_OP_FETCH = 1, /* bring bytes [0, end) of `chunk`; someone waits */
	WIRE_OP_ADVISE,	   /* chunks [chunk, chunk + arg): hint in `flags` */
};

enum wire_fetch_flags {
	WIRE_FETCH_NOTIFY = 1 << 0, /* push a completion with `token` when done or failed */
	WIRE_FETCH_RETRY = 1 << 1,  /* the reader saw FAILED: try again if that can help */
};

enum wire_advice {
	WIRE_ADVISE_WILLNEED = 1,
	WIRE_ADVISE_SEQUENTIAL,
	WIRE_ADVISE_RANDOM,
};

struct wire_submission {
	uint8_t op;
	uint8_t flags;
	uint16_t reserved;
	uint32_t object;
	uint32_t chunk;
	uint32_t arg; /* FETCH: wanted bytes from the chunk's start; ADVISE: chunks */
	uint64_t token;
};
static_assert(sizeof(struct wire_submission) == 24, "wire layout");

struct wire_completion {
	uint64_t token;
	int32_t result; /* 0 or a negative errno */
	uint32_t reserved;
};
static_assert(sizeof(struct wire_completion) == 16, "wire layout");

#define WIRE_NR_SUBMISSIONS 1024u
#define WIRE_NR_COMPLETIONS 1024u
#define WIRE_NR_TOUCHES	    4096u
#define WIRE_NR_IDLE	    32u

/* One ring's shared indices; see ring.h for who may write which. */
struct wire_ring {
	_Alignas(64) uint32_t head;  /* consumer */
	_Alignas(64) uint32_t tail;  /* producer */
	_Alignas(64) uint32_t flags; /* RING_NEED_WAKEUP: the consumer sleeps */
};
static_assert(sizeof(struct wire_ring) == 192, "wire layout");

struct wire_session {
	struct wire_ring submit;
	struct wire_ring complete;
	_Alignas(64) uint32_t want_touch; /* daemon: kick after a touch, the cache is full */
	uint32_t takes_idle;		  /* daemon: objects may be left in `idle` */
	uint32_t is_watching;		  /* daemon: it looks there anyway; else kick */
	_Alignas(64) uint32_t touch_tail; /* client: touches ever written, wraps */
	_Alignas(64) struct wire_submission submissions[WIRE_NR_SUBMISSIONS];
	struct wire_completion completions[WIRE_NR_COMPLETIONS];
	/* object in the high half, chunk + 1 in the low half; 0: not written yet */
	uint64_t touches[WIRE_NR_TOUCHES];
	/*
	 * Objects that nobody in the client has open at the moment.  The client puts one into a
	 * slot that is 0, and may take it out again; the daemon takes out, and closes, what has
	 * lain there for a second.  Both take by compare-and-swap: one of them gets it.
	 */
	_Alignas(64) uint32_t idle[WIRE_NR_IDLE];
};
static_assert(offsetof(struct wire_session, submissions) == 512, "wire layout");

/* ---- strings ------------------------------------------------------------------- */

struct wire_str {
	const char *s; /* not terminated */
	uint16_t len;
};

/*
 * Append strings behind the fixed part.  buf holds `cap` bytes of which `fixed`
 * are the struct; len[] is the struct's table.  The message's length, or
 * -EMSGSIZE.
 */
int wire_pack(void *buf, size_t cap, size_t fixed, uint16_t *len, const struct wire_str *strings,
	      unsigned nr);
/* Find them again in a message of msg_len bytes; -EPROTO when they do not fill it exactly. */
int wire_unpack(const void *buf, size_t msg_len, size_t fixed, const uint16_t *len,
		struct wire_str *ret_strings, unsigned nr);

/* Fill a head. */
static inline struct wire_head wire_head(enum wire_type type, uint32_t seq, uint32_t len)
{
	return (struct wire_head){
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = (uint16_t)type,
		.seq = seq,
		.len = len,
	};
}

#endif
