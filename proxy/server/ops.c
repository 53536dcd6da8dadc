// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/ops.h"

#include "base/check.h"
#include "base/mem.h"
#include "proxy/session/statement.h"

void op_fini(struct op *op)
{
    if (op->name != NULL)
        mem_free(op->name);
    if (op->before != NULL)
        statement_unref(&op->before);
    if (op->after != NULL)
        statement_unref(&op->after);
}

void ops_fini(struct ops *ops)
{
    while (!ops_empty(ops))
        ops_pop(ops);
    mem_free(ops->at);
    *ops = (struct ops){0};
}

void ops_grow(struct ops *ops)
{
    uint32_t size = ops->room ? ops->room * 2 : 8;
    struct op *fresh = mem_alloc(size * sizeof(*fresh));
    for (uint32_t i = 0; i < ops->count; i++)
        fresh[i] = *ops_nth(ops, i);
    mem_free(ops->at);
    ops->at = fresh;
    ops->room = size;
    ops->mask = size - 1;
    ops->head = 0;
}

void ops_rename(struct op *op, struct slice name, struct statement *before)
{
    op->renames = true;
    op->name = mem_strndup((const char *)name.at, name.len);
    op->name_bytes = (uint32_t)name.len;
    op->before = before;
}

static bool changes(const struct op *op, struct slice name, uint64_t number)
{
    if (op->name != NULL && slice_eq(slice_of(op->name, op->name_bytes), name))
        return true;
    return number != 0 && op->after != NULL && op->after->number == number && !op->unnamed;
}

bool ops_unsettled(const struct ops *ops, struct slice name, uint64_t number)
{
    bool changed = false;
    for (uint32_t i = 0; i < ops->count; i++) {
        const struct op *op = ops_nth(ops, i);
        if (op->kind == OP_SYNC && changed)
            return true;
        if (changes(op, name, number)) {
            if (!op->renames && op->name != NULL)
                return true; // SQL gives or takes the name: that counts once it is answered
            changed = true;
        }
    }
    return false;
}

bool ops_unnamed_unsettled(const struct ops *ops)
{
    bool changed = false, behind = false;
    for (uint32_t i = 0; i < ops->count; i++) {
        const struct op *op = ops_nth(ops, i);
        if (op->kind == OP_SYNC) {
            behind |= changed;
            changed = false;
        }
        changed |= op->unnamed;
    }
    return behind && !changed;
}

bool ops_unnamed_changes(const struct ops *ops)
{
    for (uint32_t i = 0; i < ops->count; i++)
        if (ops_nth(ops, i)->unnamed)
            return true;
    return false;
}

void ops_remove(struct ops *ops, uint32_t i)
{
    CHECK(i < ops->count);
    op_fini(ops_nth(ops, i));
    for (; i + 1 < ops->count; i++)
        *ops_nth(ops, i) = *ops_nth(ops, i + 1);
    ops->count--;
}

void ops_drop_newest(struct ops *ops)
{
    CHECK(ops->count > 0);
    op_fini(ops_nth(ops, ops->count - 1));
    ops->count--;
}
