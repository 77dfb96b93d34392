/*
 * op_map.h - what the operations on mappings share.
 */
#ifndef TEST_REFMODEL_OP_MAP_H
#define TEST_REFMODEL_OP_MAP_H

#include "test/refmodel/refmodel.h"

/* Some pages of a mapping that are there, one after the other; NULL: none. */
struct mappair *map_draw_run(struct actor *a, uint32_t slot, uint32_t x, size_t *ret_first,
			     size_t *ret_pages);

#endif
