#include "test/server/srv_intake.h"

#include "test/server/srv_text.h"

#include <ctype.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CHUNK_SIZE = 0,
	CHUNK_DATA,
	CHUNK_DATA_END,
	CHUNK_TRAILER,
	CHUNK_DONE,
	CHUNK_BROKEN,
};

#define TRAILER_MAX 8192

static uint32_t crc32_update(uint32_t crc, const unsigned char *p, size_t n)
{
	static const uint32_t nibble[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
					     0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
					     0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
					     0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };

	crc = ~crc;
	while (n-- > 0) {
		crc ^= *p++;
		crc = (crc >> 4) ^ nibble[crc & 15];
		crc = (crc >> 4) ^ nibble[crc & 15];
	}
	return ~crc;
}

/* Plain bytes of the content. */
static void take_content(struct srv_intake *in, const char *p, size_t n)
{
	size_t done = 0;
	ssize_t w;

	in->size += n;
	if (in->kind == SRV_INTAKE_DISCARD || in->broken || in->too_large)
		return;
	EVP_DigestUpdate(in->md5, p, n);
	if (in->sha256 != NULL)
		EVP_DigestUpdate(in->sha256, p, n);
	if (in->kind == SRV_INTAKE_MEMORY) {
		if (in->size > SRV_MEMORY_MAX)
			in->too_large = true;
		else
			srv_buf_add(&in->memory, p, n);
		return;
	}
	in->crc[SRV_CRC_XZ] = srv_crc_update(SRV_CRC_XZ, in->crc[SRV_CRC_XZ], p, n);
	in->crc[SRV_CRC_NVME] = srv_crc_update(SRV_CRC_NVME, in->crc[SRV_CRC_NVME], p, n);
	if (in->sha256 != NULL || in->aws_chunked)
		in->crc32 = crc32_update(in->crc32, (const unsigned char *)p, n);
	while (done < n) {
		w = write(in->fd, p + done, n - done);
		if (w <= 0) {
			in->broken = true;
			return;
		}
		done += (size_t)w;
	}
}

/* A whole line has come: a chunk's size or a trailer. */
static void end_line(struct srv_dechunk *d)
{
	char *end, *colon;

	if (d->line_len > 0 && d->line[d->line_len - 1] == '\r')
		d->line_len--;
	d->line[d->line_len] = '\0';
	if (d->state == CHUNK_DATA_END) {
		d->state = d->line_len == 0 ? CHUNK_SIZE : CHUNK_BROKEN;
	} else if (d->state == CHUNK_SIZE) {
		if (!isxdigit((unsigned char)d->line[0]) || strcspn(d->line, ";\r ") > 15) {
			d->state = CHUNK_BROKEN;
		} else {
			d->left = strtoull(d->line, &end, 16);
			d->state = *end != '\0' && *end != ';' && *end != ' ' ? CHUNK_BROKEN
				   : d->left > 0			      ? CHUNK_DATA
									      : CHUNK_TRAILER;
		}
	} else if (d->line_len == 0) {
		d->state = CHUNK_DONE;
	} else {
		colon = strchr(d->line, ':');
		if (colon == NULL || d->trailer.len + d->line_len > TRAILER_MAX) {
			d->state = CHUNK_BROKEN;
		} else {
			for (end = d->line; end < colon; end++)
				*end = (char)tolower((unsigned char)*end);
			srv_buf_fmt(&d->trailer, "%s\n", d->line);
		}
	}
	d->line_len = 0;
}

typedef size_t chunk_sink(struct srv_intake *in, const char *p, size_t n);

/* Runs one coding over the bytes and hands the content on.  Returns the bytes taken. */
static size_t dechunk(struct srv_dechunk *d, struct srv_intake *in, const char *p, size_t n,
		      chunk_sink *sink)
{
	size_t at = 0, take;

	while (at < n && d->state < CHUNK_DONE) {
		if (d->state == CHUNK_DATA) {
			take = d->left < n - at ? (size_t)d->left : n - at;
			sink(in, p + at, take);
			at += take;
			d->left -= take;
			if (d->left == 0)
				d->state = CHUNK_DATA_END;
		} else if (p[at] == '\n') {
			at++;
			end_line(d);
		} else if (d->line_len + 1 >= sizeof(d->line)) {
			d->state = CHUNK_BROKEN;
		} else {
			d->line[d->line_len++] = p[at++];
		}
	}
	if (d->state == CHUNK_BROKEN)
		in->broken = true;
	return at;
}

static size_t sink_content(struct srv_intake *in, const char *p, size_t n)
{
	take_content(in, p, n);
	return n;
}

static size_t sink_aws(struct srv_intake *in, const char *p, size_t n)
{
	if (in->aws_chunked)
		return dechunk(&in->inner, in, p, n, sink_content);
	take_content(in, p, n);
	return n;
}

static void finish(struct srv_intake *in)
{
	unsigned char sum[32];
	struct srv_buf hex = { 0 };
	unsigned len = sizeof(sum);

	if (in->aws_chunked && in->inner.state != CHUNK_DONE)
		in->broken = true;
	if (in->kind == SRV_INTAKE_DISCARD)
		return;
	EVP_DigestFinal_ex(in->md5, sum, &len);
	memcpy(in->md5_sum, sum, sizeof(in->md5_sum));
	if (in->sha256 != NULL) {
		len = sizeof(sum);
		EVP_DigestFinal_ex(in->sha256, sum, &len);
		srv_buf_hex(&hex, sum, sizeof(sum), false);
		memcpy(in->sha256_hex, hex.p, sizeof(in->sha256_hex));
		srv_buf_free(&hex);
	}
}

bool srv_intake_start(struct srv_intake *in, const struct srv_req *r, enum srv_intake_kind kind,
		      char *path, bool want_sha256)
{
	const char *coding = srv_req_field(r, "content-encoding");
	const char *sha = srv_req_field(r, "x-amz-content-sha256");

	memset(in, 0, sizeof(*in));
	in->kind = kind;
	in->fd = -1;
	in->path = path;
	in->chunked = r->chunked;
	in->left = r->content_length > 0 ? (uint64_t)r->content_length : 0;
	in->aws_chunked = (coding != NULL && strstr(coding, "aws-chunked") != NULL) ||
			  (sha != NULL && strncmp(sha, "STREAMING-", 10) == 0);
	in->done = !in->chunked && in->left == 0;
	if (kind == SRV_INTAKE_DISCARD)
		return true;
	if (kind == SRV_INTAKE_FILE) {
		in->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (in->fd == -1)
			return false;
	}
	in->md5 = EVP_MD_CTX_new();
	EVP_DigestInit_ex(in->md5, EVP_md5(), NULL);
	if (want_sha256) {
		in->sha256 = EVP_MD_CTX_new();
		EVP_DigestInit_ex(in->sha256, EVP_sha256(), NULL);
	}
	if (in->done)
		finish(in);
	return true;
}

size_t srv_intake_feed(struct srv_intake *in, const char *p, size_t n)
{
	size_t took;

	if (in->done)
		return 0;
	if (in->chunked) {
		took = dechunk(&in->outer, in, p, n, sink_aws);
		in->done = in->outer.state >= CHUNK_DONE;
	} else {
		took = n < in->left ? n : (size_t)in->left;
		sink_aws(in, p, took);
		in->left -= took;
		in->done = in->left == 0;
	}
	if (in->done)
		finish(in);
	return took;
}

char *srv_intake_trailer(const struct srv_intake *in, const char *lower_name)
{
	const char *p = in->inner.trailer.p;
	size_t n = strlen(lower_name);

	while (p != NULL && *p != '\0') {
		size_t line = strcspn(p, "\n");

		if (line > n && strncmp(p, lower_name, n) == 0 && p[n] == ':') {
			p += n + 1;
			line -= n + 1;
			while (line > 0 && *p == ' ') {
				p++;
				line--;
			}
			return srv_strndup(p, line);
		}
		p += line + (p[line] == '\n');
	}
	return NULL;
}

void srv_intake_fini(struct srv_intake *in)
{
	if (in->fd > 0)
		close(in->fd);
	if (in->path != NULL)
		unlink(in->path);
	free(in->path);
	srv_buf_free(&in->memory);
	srv_buf_free(&in->outer.trailer);
	srv_buf_free(&in->inner.trailer);
	EVP_MD_CTX_free(in->md5);
	EVP_MD_CTX_free(in->sha256);
	memset(in, 0, sizeof(*in));
	in->fd = -1;
}
