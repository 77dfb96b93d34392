#include "test/server/srv_fault.h"

#include "test/server/srv_buf.h"
#include "test/server/srv_error.h"
#include "test/server/srv_text.h"
#include "test/server/synth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rule {
	struct rule *next;
	char method[16]; /* "": any */
	char *glob;
	char *source; /* "": any */
	bool reused_only;
	uint64_t skip;
	uint64_t times; /* 0: for ever */
	double probability;
	uint64_t random;
	struct srv_plan plan;
};

struct srv_faults {
	pthread_mutex_t lock;
	struct rule *rules;
	_Atomic bool any;
};

struct srv_faults *srv_faults_new(void)
{
	struct srv_faults *f = srv_alloc(sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	return f;
}

static void rule_free(struct rule *r)
{
	free(r->glob);
	free(r->source);
	free(r);
}

void srv_faults_clear(struct srv_faults *f)
{
	struct rule *r, *next;

	pthread_mutex_lock(&f->lock);
	for (r = f->rules; r != NULL; r = next) {
		next = r->next;
		rule_free(r);
	}
	f->rules = NULL;
	atomic_store(&f->any, false);
	pthread_mutex_unlock(&f->lock);
}

void srv_faults_free(struct srv_faults *f)
{
	if (f == NULL)
		return;
	srv_faults_clear(f);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void srv_plan_init(struct srv_plan *p)
{
	memset(p, 0, sizeof(*p));
	p->qos_ms = -1;
	p->reset_at = -1;
	p->truncate_at = -1;
	p->stall_at = -1;
	p->flip_at = -1;
}

/* The number that goes with an action, by its own name or as "n". */
static int64_t number(const struct srv_json *o, const char *name, int64_t fallback)
{
	return srv_json_int(o, name, srv_json_int(o, "n", fallback));
}

static const char *read_status(const struct srv_json *o, struct srv_plan *p, bool qos)
{
	const char *body = srv_json_str(o, "body", "xml");
	const char *code = srv_json_str(o, "code", qos ? "TotalQpsLimitExceeded" : "");
	enum srv_error_id id;

	p->status = (int)srv_json_int(o, "status", 0);
	p->qos_ms = (int)number(o, "ms", qos ? 120 : -1);
	if (!qos && srv_json_find(o, "ms") == NULL)
		p->qos_ms = -1;
	snprintf(p->code, sizeof(p->code), "%s", code);
	if (code[0] != '\0') {
		id = srv_error_find(code, p->status);
		if (id != SRV_E_NONE && p->status == 0)
			p->status = srv_error_row(id)->status;
	}
	if (qos && p->status == 0)
		p->status = 503;
	if (p->status < 300 || p->status > 599)
		return "a status needs \"status\" 300 to 599 or a known \"code\"";
	if (strcmp(body, "none") == 0)
		p->body = SRV_PLAN_NO_BODY;
	else if (strcmp(body, "html") == 0)
		p->body = SRV_PLAN_HTML;
	else if (strcmp(body, "xml") != 0)
		return "\"body\" must be xml, none or html";
	return NULL;
}

/* Actions that are one number, which must be there. */
static const char *read_offset(const struct srv_json *o, const char *name, int64_t *ret)
{
	*ret = number(o, name, -1);
	return *ret >= 0 ? NULL : "this action needs a byte offset: \"at\" or \"n\"";
}

static const char *read_flow(const struct srv_json *o, const char *action, struct srv_plan *p)
{
	int64_t n;

	if (strcmp(action, "reset_at") == 0)
		return read_offset(o, "at", &p->reset_at);
	if (strcmp(action, "truncate_at") == 0)
		return read_offset(o, "at", &p->truncate_at);
	if (strcmp(action, "stall_at") == 0)
		return read_offset(o, "at", &p->stall_at);
	if (strcmp(action, "flip") == 0)
		return read_offset(o, "at", &p->flip_at);
	if (strcmp(action, "overlong") == 0) {
		n = number(o, "bytes", 1);
		p->overlong = n > 0 ? (uint64_t)n : 1;
		p->overlong_declared = srv_json_bool(o, "declared", true);
	} else if (strcmp(action, "wrong_length") == 0) {
		p->length_change = number(o, "bytes", -1);
	} else if (strcmp(action, "drip") == 0) {
		n = number(o, "bps", 0);
		if (n <= 0)
			return "drip needs \"bps\": bytes a second";
		p->drip = (uint64_t)n;
	} else if (strcmp(action, "delay_ms") == 0) {
		n = number(o, "ms", 0);
		if (n <= 0 || n > 3600000)
			return "delay_ms needs \"ms\"";
		p->delay_ms = (unsigned)n;
	} else {
		return "no such action";
	}
	return NULL;
}

static const char *read_action(const struct srv_json *o, struct srv_plan *p)
{
	const char *action = srv_json_str(o, "action", "");

	srv_plan_init(p);
	if (strcmp(action, "status") == 0)
		return read_status(o, p, false);
	if (strcmp(action, "qos") == 0)
		return read_status(o, p, true);
	if (strcmp(action, "redirect") == 0) {
		p->status = (int)srv_json_int(o, "status", 307);
		snprintf(p->location, sizeof(p->location), "%s",
			 srv_json_str(o, "location", "http://127.0.0.1:1/"));
		return p->status >= 300 && p->status < 400 ? NULL : "redirect needs a 3xx status";
	}
	if (strcmp(action, "close_before_head") == 0) {
		p->close_before_head = true;
		p->by_reset = srv_json_bool(o, "rst", false);
	} else if (strcmp(action, "as_200") == 0) {
		p->as_200 = true;
	} else if (strcmp(action, "wrong_range") == 0) {
		p->wrong_range = true;
	} else if (strcmp(action, "other_etag") == 0) {
		p->other_etag = true;
	} else if (strcmp(action, "gzip") == 0) {
		p->gzip = true;
	} else if (strcmp(action, "no_crc") == 0) {
		p->no_crc = true;
	} else if (strcmp(action, "wrong_crc") == 0) {
		p->wrong_crc = true;
	} else {
		return read_flow(o, action, p);
	}
	return NULL;
}

static void read_match(const char *match, struct rule *r)
{
	size_t n = strcspn(match, " ");

	if (match[n] == ' ' && n < sizeof(r->method)) {
		if (strncmp(match, "*", n) != 0)
			memcpy(r->method, match, n);
		match += n + 1;
	}
	r->glob = srv_strndup(match, strlen(match));
}

const char *srv_faults_add(struct srv_faults *f, const struct srv_json *o)
{
	const char *source = srv_json_str(o, "source", "");
	struct srv_plan plan;
	const char *wrong = read_action(o, &plan);
	struct rule *r, **tail;
	int64_t after = srv_json_int(o, "after", 0), times = srv_json_int(o, "times", 0);

	if (wrong != NULL)
		return wrong;
	if (after < 0 || times < 0)
		return "\"after\" and \"times\" must not be negative";
	r = srv_alloc(sizeof(*r));
	r->plan = plan;
	read_match(srv_json_str(o, "match", "*"), r);
	r->source = srv_strndup(source, strlen(source));
	r->reused_only = srv_json_bool(o, "reused", false);
	r->skip = (uint64_t)after;
	r->times = (uint64_t)times;
	r->probability = srv_json_num(o, "probability", 1.0);
	r->random = synth_mix((uint64_t)srv_json_int(o, "seed", 1));

	pthread_mutex_lock(&f->lock);
	for (tail = &f->rules; *tail != NULL; tail = &(*tail)->next)
		;
	*tail = r;
	atomic_store(&f->any, true);
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static bool matches(const struct rule *r, const struct srv_fault_request *q)
{
	if (r->method[0] != '\0' && strcmp(r->method, q->method) != 0)
		return false;
	if (r->source[0] != '\0' && !srv_glob(r->source, q->source))
		return false;
	if (r->reused_only && !q->reused)
		return false;
	if (r->plan.flip_at >= 0 &&
	    ((uint64_t)r->plan.flip_at < q->first || (uint64_t)r->plan.flip_at > q->last))
		return false;
	return srv_glob(r->glob, q->target);
}

/* Does the rule act on this match? */
static bool fires(struct rule *r)
{
	if (r->skip > 0) {
		r->skip--;
		return false;
	}
	if (r->probability < 1.0) {
		r->random = synth_mix(r->random);
		if ((double)(r->random >> 11) / (double)(UINT64_C(1) << 53) >= r->probability)
			return false;
	}
	return true;
}

static void join_offset(int64_t *a, int64_t b)
{
	if (b >= 0)
		*a = b;
}

static void join_plans(struct srv_plan *p, const struct srv_plan *a)
{
	if (a->status != 0) {
		p->status = a->status;
		memcpy(p->code, a->code, sizeof(p->code));
		memcpy(p->location, a->location, sizeof(p->location));
		p->body = a->body;
		p->qos_ms = a->qos_ms;
	}
	p->close_before_head |= a->close_before_head;
	p->by_reset |= a->by_reset;
	join_offset(&p->reset_at, a->reset_at);
	join_offset(&p->truncate_at, a->truncate_at);
	join_offset(&p->stall_at, a->stall_at);
	join_offset(&p->flip_at, a->flip_at);
	p->overlong += a->overlong;
	p->overlong_declared |= a->overlong_declared;
	p->length_change += a->length_change;
	p->drip = a->drip != 0 ? a->drip : p->drip;
	p->delay_ms += a->delay_ms;
	p->as_200 |= a->as_200;
	p->wrong_range |= a->wrong_range;
	p->other_etag |= a->other_etag;
	p->gzip |= a->gzip;
	p->no_crc |= a->no_crc;
	p->wrong_crc |= a->wrong_crc;
}

bool srv_faults_plan(struct srv_faults *f, const struct srv_fault_request *q, struct srv_plan *p)
{
	struct rule **at, *r;
	bool any = false;

	if (!atomic_load_explicit(&f->any, memory_order_acquire))
		return false;
	pthread_mutex_lock(&f->lock);
	for (at = &f->rules; (r = *at) != NULL;) {
		if (!matches(r, q) || !fires(r)) {
			at = &r->next;
			continue;
		}
		any = true;
		join_plans(p, &r->plan);
		if (r->times > 0 && --r->times == 0) {
			*at = r->next;
			rule_free(r);
		} else {
			at = &r->next;
		}
		/* An answer that carries no object leaves nothing for later rules. */
		if (p->status != 0 || p->close_before_head)
			break;
	}
	pthread_mutex_unlock(&f->lock);
	return any;
}
