/* MOUNT, SNAPSHOT, LIST, UMOUNT, PREFETCH: what a session does with whole mounts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount.h"
#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

#define MOUNT_FLAGS                                                                                \
	(WIRE_MOUNT_SECONDARY | WIRE_MOUNT_PREFETCH | WIRE_MOUNT_KEEP | WIRE_MOUNT_REFRESH |       \
	 WIRE_MOUNT_PARTS)

/* A path that somebody wrote keys into is not repeated anywhere. */
static const char *printable_path(const char *oss_path)
{
	return strpbrk(oss_path, "@?") != NULL ? "(a path with keys in it)" : oss_path;
}

static void audit(const struct session *s, const char *op, const char *what, int error)
{
	const struct audit_who who = session_who(s);

	audit_write(&who, op, what, error, 0);
}

/* With or without the chunk table, as the two answers differ. */
static void answer_mount(struct session *s, const struct pending *p, struct mount *m)
{
	struct wire_mount_answer answer = {
		.mount = p->mount,
		.chunk_shift = cache_chunk_shift(s->all->cache),
		.snapshot_serial = mount_snapshot_serial(m),
		.snapshot_len = mount_snapshot_len(m),
		.table_len = table_len(mount_table(m)),
	};
	const int fds[] = { table_client_fd(mount_table(m)), mount_snapshot_fd(m) };
	const bool with_table = p->type == WIRE_MOUNT;

	session_answer(s, p->type, p->seq, &answer.head, sizeof(answer), with_table ? fds : fds + 1,
		       with_table ? 2 : 1);
}

static void refuse_pending(struct pending *p, int error, const char *text)
{
	session_refuse(p->session, p->type, p->seq, error, "%s",
		       text != NULL && text[0] != '\0' ? text : strerror(-error));
}

/* ---- MOUNT ------------------------------------------------------------------------- */

static void on_attached(struct mount *m, int error, const char *text, void *arg)
{
	static struct log_limit limit;
	struct pending *p = arg;
	struct session *s = p->session;
	unsigned suppressed;

	p->attach = NULL;
	audit(s, "mount", p->what, error);
	if (error != 0) {
		if (log_limit_pass(&limit, &suppressed))
			slog_warn(s, "cannot mount %s: %s (%u more before)", p->what,
				  text != NULL ? text : strerror(-error), suppressed);
		session_drop_mount(s, p->mount);
		refuse_pending(p, error, text);
	} else {
		slog_info(s, "mounted %s%s", p->what,
			  !mount_is_shared(m) ? ""
			  : p->is_secondary   ? ", as a secondary"
					      : ": attached to the mount that others have made");
		s->mounts[p->mount - 1].mount = m;
		answer_mount(s, p, m);
	}
	if (!session_is_dead(s)) {
		pending_free(p);
		pulse_wake(s->all);
	}
}

/* The strings of a MOUNT with an end of their own; *ret_bad is one that has it too early. */
struct mount_strings {
	const char *at[WIRE_MOUNT_NR_STRINGS];
	char bytes[WIRE_MAX + WIRE_MOUNT_NR_STRINGS];
};

static int copy_strings(const struct wire_mount *msg, struct mount_strings *to)
{
	struct wire_str strings[WIRE_MOUNT_NR_STRINGS];
	uint16_t len[WIRE_MOUNT_NR_STRINGS];
	char *out = to->bytes;
	unsigned i;
	int r;

	memcpy(len, msg->len, sizeof(len));
	r = wire_unpack(msg, msg->head.len, offsetof(struct wire_mount, strings), len, strings,
			WIRE_MOUNT_NR_STRINGS);
	if (r != 0)
		return r;
	for (i = 0; i < WIRE_MOUNT_NR_STRINGS; i++) {
		if (memchr(strings[i].s, '\0', strings[i].len) != NULL)
			return -EINVAL;
		memcpy(out, strings[i].s, strings[i].len);
		out[strings[i].len] = '\0';
		to->at[i] = out;
		out += strings[i].len + 1;
	}
	return 0;
}

static void fill_spec(const struct session *s, uint32_t flags, const struct mount_strings *strings,
		      struct mount_spec *ret_spec)
{
	const struct sessions_conf *conf = &s->all->conf;

	*ret_spec = (struct mount_spec){
		.uid = s->uid,
		.oss_path = strings->at[WIRE_MOUNT_OSS_PATH],
		.model_dir = strings->at[WIRE_MOUNT_MODEL_DIR],
		.endpoint = strings->at[WIRE_MOUNT_ENDPOINT],
		.region = strings->at[WIRE_MOUNT_REGION],
		.access_key = strings->at[WIRE_MOUNT_ACCESS_KEY],
		.secret = strings->at[WIRE_MOUNT_SECRET],
		.token = strings->at[WIRE_MOUNT_TOKEN],
		.sources = strings->at[WIRE_MOUNT_SOURCES],
		.secondary = (flags & WIRE_MOUNT_SECONDARY) != 0,
		.prefetch = (flags & WIRE_MOUNT_PREFETCH) != 0,
		.keep = (flags & WIRE_MOUNT_KEEP) != 0,
		.refresh = (flags & WIRE_MOUNT_REFRESH) != 0,
		.parts = (flags & WIRE_MOUNT_PARTS) != 0,
	};
	if (s->uid != geteuid() || conf->access_key == NULL || ret_spec->access_key[0] != '\0' ||
	    ret_spec->secret[0] != '\0' || ret_spec->token[0] != '\0')
		return;
	ret_spec->access_key = conf->access_key;
	ret_spec->secret = conf->secret;
	ret_spec->token = conf->token;
}

static void begin_mount(struct session *s, const struct wire_head *req,
			const struct mount_strings *strings)
{
	const uint32_t flags = ((const struct wire_mount *)req)->flags;
	struct mount_spec spec;
	struct pending *p;
	uint32_t number;
	int r;

	p = pending_new(s, req, printable_path(strings->at[WIRE_MOUNT_OSS_PATH]));
	if (p == NULL)
		return;
	if (session_take_mount(s, &number) != 0) {
		session_refuse(s, req->type, req->seq, -EMFILE,
			       "a client may have %d mounts; end one by UMOUNT",
			       SESSION_MOUNTS_MAX);
		if (!session_is_dead(s))
			pending_free(p);
		return;
	}
	p->mount = number;
	p->is_secondary = (flags & WIRE_MOUNT_SECONDARY) != 0;
	fill_spec(s, flags, strings, &spec);
	r = mount_attach(s->all->mounts, &spec, on_attached, p, &p->attach);
	if (r != 0)
		on_attached(NULL, r, NULL, p);
}

void op_mount(struct session *s, const struct wire_head *req)
{
	const struct wire_mount *msg = (const struct wire_mount *)req;
	struct mount_strings strings;
	int r;

	r = copy_strings(msg, &strings);
	if (r == -EPROTO)
		session_refuse(s, req->type, req->seq, r,
			       "MOUNT: the strings do not fill the message");
	else if (r != 0)
		session_refuse(s, req->type, req->seq, r, "MOUNT: a string holds a NUL");
	else if ((msg->flags & ~(uint32_t)MOUNT_FLAGS) != 0)
		session_refuse(s, req->type, req->seq, -EINVAL, "MOUNT: unknown flags 0x%x",
			       msg->flags);
	else
		begin_mount(s, req, &strings);
	wipe(&strings, sizeof(strings));
}

/* ---- SNAPSHOT ------------------------------------------------------------------------ */

/* NULL: no such mount, and the client was told. */
static struct mount *find_mount(struct session *s, const struct wire_head *req, uint32_t number)
{
	struct mount *m = session_mount(s, number);

	if (m == NULL)
		session_refuse(s, req->type, req->seq, -EBADF, "this session has no mount %u",
			       number);
	return m;
}

static void on_refreshed(struct mount *m, int error, const char *text, void *arg)
{
	struct pending *p = arg;
	struct session *s = p->session;

	p->attach = NULL;
	audit(s, "list", p->what, error);
	if (error != 0)
		refuse_pending(p, error, text);
	else
		answer_mount(s, p, m);
	if (error == 0)
		mount_release(m); /* the session's own reference stays */
	if (!session_is_dead(s)) {
		pending_free(p);
		pulse_wake(s->all);
	}
}

void op_snapshot(struct session *s, const struct wire_head *req)
{
	const struct wire_snapshot *msg = (const struct wire_snapshot *)req;
	struct mount *m = find_mount(s, req, msg->mount);
	struct pending *p;
	int r;

	if (m == NULL)
		return;
	if ((msg->flags & ~(uint32_t)WIRE_SNAPSHOT_REFRESH) != 0) {
		session_refuse(s, req->type, req->seq, -EINVAL, "SNAPSHOT: unknown flags 0x%x",
			       msg->flags);
		return;
	}
	if ((msg->flags & WIRE_SNAPSHOT_REFRESH) == 0) {
		const struct pending now = { .type = req->type,
					     .seq = req->seq,
					     .mount = msg->mount };

		answer_mount(s, &now, m);
		return;
	}
	p = pending_new(s, req, mount_oss_path(m));
	if (p == NULL)
		return;
	p->mount = msg->mount;
	r = mount_refresh(m, on_refreshed, p, &p->attach);
	if (r != 0)
		on_refreshed(NULL, r, NULL, p);
}

/* ---- LIST, UMOUNT, PREFETCH ------------------------------------------------------------------ */

/* The path in a wire_path, checked.  False: the client was told. */
static bool check_path(struct session *s, const struct wire_path *msg)
{
	const struct wire_head *req = &msg->head;
	struct wire_str path;

	if (wire_unpack(msg, req->len, offsetof(struct wire_path, path), &msg->path_len, &path,
			1) != 0) {
		session_refuse(s, req->type, req->seq, -EPROTO,
			       "the path does not fill the message");
		return false;
	}
	if (path.len > SESSION_PATH_MAX || memchr(path.s, '\0', path.len) != NULL) {
		session_refuse(s, req->type, req->seq,
			       path.len > SESSION_PATH_MAX ? -ENAMETOOLONG : -EINVAL,
			       "a path of at most %d bytes without NUL is wanted",
			       SESSION_PATH_MAX);
		return false;
	}
	return true;
}

void op_list(struct session *s, const struct wire_head *req)
{
	const struct wire_path *msg = (const struct wire_path *)req;
	struct mount *m;
	struct pending *p;
	int r;

	if (!check_path(s, msg))
		return;
	m = find_mount(s, req, msg->mount);
	p = m != NULL ? pending_new(s, req, mount_oss_path(m)) : NULL;
	if (p == NULL)
		return;
	p->mount = msg->mount;
	r = mount_list(m, msg->path, msg->path_len, on_refreshed, p, &p->attach);
	if (r != 0)
		on_refreshed(NULL, r, NULL, p);
}

static void answer_done(struct session *s, const struct wire_head *req)
{
	struct wire_head answer = { 0 };

	session_answer(s, req->type, req->seq, &answer, sizeof(answer), NULL, 0);
}

static bool mount_is_busy(struct session *s, uint32_t number)
{
	const struct held *h;
	uint32_t i;

	for (i = 1; i <= s->nr_held; i++) {
		h = session_held(s, i);
		if (h != NULL && h->mount == number)
			return true;
	}
	return false;
}

void op_umount(struct session *s, const struct wire_head *req)
{
	const struct wire_path *msg = (const struct wire_path *)req;
	const uint32_t number = msg->mount;
	struct pending *p, *next;
	struct mount *m;

	if (!check_path(s, msg))
		return;
	m = find_mount(s, req, number);
	if (m == NULL)
		return;
	audit(s, "umount", mount_oss_path(m), mount_is_busy(s, number) ? -EBUSY : 0);
	if (mount_is_busy(s, number)) {
		session_refuse(s, req->type, req->seq, -EBUSY,
			       "files of %s are open in this client; close them first",
			       mount_oss_path(m));
		return;
	}
	for (p = TAILQ_FIRST(&s->pending); p != NULL && !session_is_dead(s); p = next) {
		next = TAILQ_NEXT(p, link);
		if ((p->type != WIRE_SNAPSHOT && p->type != WIRE_LIST) || p->mount != number)
			continue;
		refuse_pending(p, -ECANCELED, "the mount is gone");
		if (!session_is_dead(s))
			pending_free(p);
	}
	if (session_is_dead(s))
		return;
	slog_info(s, "unmounted %s", mount_oss_path(m));
	mount_unkeep(m);
	session_drop_mount(s, number);
	answer_done(s, req);
}

void op_prefetch(struct session *s, const struct wire_head *req)
{
	const struct wire_path *msg = (const struct wire_path *)req;
	struct mount *m;
	char *what;
	int r;

	if (!check_path(s, msg))
		return;
	m = find_mount(s, req, msg->mount);
	if (m == NULL)
		return;
	r = mount_prefetch(m, msg->path, msg->path_len);
	what = xasprintf("%s %.*s", mount_oss_path(m), (int)msg->path_len, msg->path);
	audit(s, "prefetch", what, r);
	if (r == 0)
		answer_done(s, req);
	else if (r == -ENOENT)
		session_refuse(s, req->type, req->seq, r, "there is no %.*s in %s",
			       (int)msg->path_len, msg->path, mount_oss_path(m));
	else
		session_refuse(s, req->type, req->seq, r, "%s", strerror(-r));
	free(what);
}
