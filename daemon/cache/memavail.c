#include "daemon/cache/memavail.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB	  (1ull << 30)
#define UNLIMITED (1ull << 60) /* version 1 writes "no limit" as a number beyond this */

/* As virtio's standard has them; the kernel's headers are not all new enough. */
#define VIRTIO_ID_BALLOON	   5
#define VIRTIO_BALLOON_F_REPORTING 5

struct cgroup_files {
	const char *fstype;
	const char *limits[2];
	const char *usage;
	const char *reclaimable[4]; /* rows of memory.stat that go when memory is wanted */
};

static const struct cgroup_files version_2 = {
	.fstype = "cgroup2",
	.limits = { "memory.max", "memory.high" },
	.usage = "memory.current",
	.reclaimable = { "active_file", "inactive_file", "slab_reclaimable" },
};

static const struct cgroup_files version_1 = {
	.fstype = "cgroup",
	.limits = { "memory.limit_in_bytes" },
	.usage = "memory.usage_in_bytes",
	.reclaimable = { "total_active_file", "total_inactive_file" },
};

/* A file of one number; "max" and what cannot be read are UINT64_MAX. */
static uint64_t read_number(const char *dir, const char *name)
{
	char path[PATH_MAX], text[32], *end;
	unsigned long long value;
	FILE *file;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return UINT64_MAX;
	file = fopen(path, "re");
	if (file == NULL)
		return UINT64_MAX;
	if (fgets(text, sizeof(text), file) == NULL)
		text[0] = '\0';
	fclose(file);
	value = strtoull(text, &end, 10);
	return end == text || value >= UNLIMITED ? UINT64_MAX : value;
}

/* The sum of the named rows ("name value", or "name: value kB") of a file; false: no such row. */
static bool read_rows(const char *path, const char *const *names, uint64_t *ret_sum)
{
	char *line = NULL;
	size_t cap = 0;
	uint64_t sum = 0;
	bool found = false;
	FILE *file;

	file = fopen(path, "re");
	if (file == NULL)
		return false;
	while (getline(&line, &cap, file) != -1) {
		unsigned long long value;
		char name[64];
		size_t i;

		if (sscanf(line, "%63[^: ]%*[: ]%llu", name, &value) != 2)
			continue;
		for (i = 0; names[i] != NULL; i++)
			if (strcmp(name, names[i]) == 0) {
				sum += value;
				found = true;
			}
	}
	free(line);
	fclose(file);
	*ret_sum = sum;
	return found;
}

static uint64_t machine_available(const char *root)
{
	static const char *const names[] = { "MemAvailable", NULL };
	char path[PATH_MAX];
	uint64_t kib;

	if ((size_t)snprintf(path, sizeof(path), "%s/proc/meminfo", root) >= sizeof(path) ||
	    !read_rows(path, names, &kib))
		return UINT64_MAX;
	return kib * 1024;
}

/* What one cgroup still allows. */
static uint64_t group_available(const struct cgroup_files *files, const char *dir)
{
	char path[PATH_MAX];
	uint64_t limit = UINT64_MAX, used, reclaimable = 0;
	size_t i;

	for (i = 0; i < 2 && files->limits[i] != NULL; i++) {
		uint64_t l = read_number(dir, files->limits[i]);

		if (l < limit)
			limit = l;
	}
	used = read_number(dir, files->usage);
	if (limit == UINT64_MAX || used == UINT64_MAX)
		return UINT64_MAX;
	if ((size_t)snprintf(path, sizeof(path), "%s/memory.stat", dir) < sizeof(path))
		read_rows(path, files->reclaimable, &reclaimable);
	used -= reclaimable < used ? reclaimable : used;
	return limit > used ? limit - used : 0;
}

/* Is `word` one of the comma-separated ones in `list`? */
static bool list_has(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list != '\0') {
		size_t n = strcspn(list, ",\n");

		if (n == len && strncmp(list, word, n) == 0)
			return true;
		list += n + (list[n] != '\0');
	}
	return false;
}

/* This process's memory cgroup, as /proc/self/cgroup names it. */
static bool find_group(const char *root, const struct cgroup_files *files, char path[PATH_MAX])
{
	bool unified = files == &version_2, found = false;
	char *line = NULL, file_name[PATH_MAX];
	size_t cap = 0;
	FILE *file;

	if ((size_t)snprintf(file_name, sizeof(file_name), "%s/proc/self/cgroup", root) >=
	    sizeof(file_name))
		return false;
	file = fopen(file_name, "re");
	if (file == NULL)
		return false;
	while (!found && getline(&line, &cap, file) != -1) {
		char *controllers = strchr(line, ':'), *name;

		if (controllers == NULL || (name = strchr(++controllers, ':')) == NULL)
			continue;
		*name++ = '\0';
		name[strcspn(name, "\n")] = '\0';
		found = (unified ? controllers[0] == '\0' : list_has(controllers, "memory")) &&
			strlen(name) < PATH_MAX;
		if (found)
			snprintf(path, PATH_MAX, "%s", name);
	}
	free(line);
	fclose(file);
	return found;
}

/* Where that hierarchy is mounted, and which of its cgroups is there. */
static bool find_mount(const char *root, const struct cgroup_files *files, char top[PATH_MAX],
		       char place[PATH_MAX])
{
	char *line = NULL, file_name[PATH_MAX];
	bool found = false;
	size_t cap = 0;
	FILE *file;

	if ((size_t)snprintf(file_name, sizeof(file_name), "%s/proc/self/mountinfo", root) >=
	    sizeof(file_name))
		return false;
	file = fopen(file_name, "re");
	if (file == NULL)
		return false;
	while (!found && getline(&line, &cap, file) != -1) {
		char *tail = strstr(line, " - "), fstype[32], options[512];

		if (tail == NULL || strlen(line) >= PATH_MAX ||
		    sscanf(tail, " - %31s %*s %511s", fstype, options) != 2 ||
		    strcmp(fstype, files->fstype) != 0 ||
		    (files == &version_1 && !list_has(options, "memory")))
			continue;
		found = sscanf(line, "%*s %*s %*s %s %s", top, place) == 2;
	}
	free(line);
	fclose(file);
	return found;
}

/* The least that this process's cgroup and those above it allow. */
static uint64_t groups_available(const char *root, const struct cgroup_files *files)
{
	char group[PATH_MAX], top[PATH_MAX], place[PATH_MAX], dir[3 * PATH_MAX];
	uint64_t least = UINT64_MAX;
	const char *below = group;
	size_t top_len, floor_len;

	if (!find_group(root, files, group) || !find_mount(root, files, top, place))
		return UINT64_MAX;
	/* In a container the mount may begin at the container's own cgroup. */
	top_len = strcmp(top, "/") == 0 ? 0 : strlen(top);
	if (strncmp(group, top, top_len) == 0 && (group[top_len] == '/' || group[top_len] == '\0'))
		below += top_len;
	else
		below = "";
	if (strstr(below, "/..") != NULL) /* outside this cgroup namespace: nothing to see */
		below = "";
	floor_len = strlen(root) + strlen(place);
	if ((size_t)snprintf(dir, sizeof(dir), "%s%s%s", root, place, below) >= sizeof(dir))
		return UINT64_MAX;
	for (;;) {
		uint64_t available = group_available(files, dir);
		char *slash;

		if (available < least)
			least = available;
		slash = strrchr(dir, '/');
		if (slash == NULL || (size_t)(slash - dir) < floor_len)
			return least;
		*slash = '\0';
	}
}

uint64_t memavail_bytes(const char *root)
{
	uint64_t least = machine_available(root), l;

	l = groups_available(root, &version_2);
	if (l < least)
		least = l;
	l = groups_available(root, &version_1);
	return l < least ? l : least;
}

uint64_t memavail_reserve(uint64_t available)
{
	uint64_t reserve = available / 10;

	if (reserve < 4 * GIB)
		reserve = 4 * GIB;
	return reserve < available / 5 ? reserve : available / 5;
}

/* A line of a virtio device's directory, or "". */
static void read_line(const char *dir, const char *name, char *text, int cap)
{
	char path[PATH_MAX];
	FILE *file = NULL;

	text[0] = '\0';
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) < sizeof(path))
		file = fopen(path, "re");
	if (file == NULL)
		return;
	if (fgets(text, cap, file) == NULL)
		text[0] = '\0';
	fclose(file);
}

bool memavail_is_taken_back(const char *root)
{
	char pattern[PATH_MAX], id[16], features[128];
	glob_t devices;
	bool is = false;
	size_t i;

	if ((size_t)snprintf(pattern, sizeof(pattern), "%s/sys/bus/virtio/devices/*", root) >=
		    sizeof(pattern) ||
	    glob(pattern, 0, NULL, &devices) != 0)
		return false;
	for (i = 0; i < devices.gl_pathc && !is; i++) {
		read_line(devices.gl_pathv[i], "device", id, sizeof(id));
		read_line(devices.gl_pathv[i], "features", features, sizeof(features));
		is = strtoul(id, NULL, 16) == VIRTIO_ID_BALLOON &&
		     strlen(features) > VIRTIO_BALLOON_F_REPORTING &&
		     features[VIRTIO_BALLOON_F_REPORTING] == '1';
	}
	globfree(&devices);
	return is;
}
