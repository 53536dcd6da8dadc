// SPDX-License-Identifier: Apache-2.0
// Messages as pgoutput sends them, for tests: a small language. Each function appends one to a
// buffer, whose bytes it returns; the next call overwrites them.
#pragma once
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static struct buf message_buf;

static inline struct slice message_end(void)
{
    return buf_slice(&message_buf);
}

static inline void message_text(const char *text) // with its NUL
{
    buf_bytes(&message_buf, text, strlen(text) + 1);
}

static inline struct slice message_begin(uint32_t xid, uint64_t commit)
{
    buf_clear(&message_buf);
    buf_u8(&message_buf, 'B');
    buf_u64(&message_buf, commit);
    buf_u64(&message_buf, 0);
    buf_u32(&message_buf, xid);
    return message_end();
}

static inline struct slice message_commit(uint64_t commit, uint64_t end)
{
    buf_clear(&message_buf);
    buf_u8(&message_buf, 'C');
    buf_u8(&message_buf, 0);
    buf_u64(&message_buf, commit);
    buf_u64(&message_buf, end);
    buf_u64(&message_buf, 0);
    return message_end();
}

// columns: names with blanks between; a '*' in front of those of the replica identity; a colon and
// the oid of its type behind one that is no int4.
static inline struct slice message_relation(uint32_t oid, const char *name, const char *columns)
{
    char copy[1024], *at = copy, *column;
    uint16_t count = 0;
    snprintf(copy, sizeof(copy), "%s", columns);
    buf_clear(&message_buf);
    buf_u8(&message_buf, 'R');
    buf_u32(&message_buf, oid);
    message_text("public");
    message_text(name);
    buf_u8(&message_buf, 'd');
    size_t count_at = message_buf.len;
    buf_u16(&message_buf, 0);
    while ((column = strsep(&at, " ")) != NULL) {
        char *type = strchr(column, ':');
        if (type != NULL)
            *type++ = '\0';
        buf_u8(&message_buf, column[0] == '*');
        message_text(column + (column[0] == '*'));
        buf_u32(&message_buf, type == NULL ? 23 : (uint32_t)atoi(type));
        buf_u32(&message_buf, 0xffffffff);
        count++;
    }
    message_buf.at[count_at] = (uint8_t)(count >> 8);
    message_buf.at[count_at + 1] = (uint8_t)count;
    return message_end();
}

// values: with blanks between; - is null, = unchanged.
static inline void message_row(const char *values)
{
    char copy[4096], *at = copy, *value;
    uint16_t count = 0;
    snprintf(copy, sizeof(copy), "%s", values);
    size_t count_at = message_buf.len;
    buf_u16(&message_buf, 0);
    while ((value = strsep(&at, " ")) != NULL) {
        count++;
        if (strcmp(value, "-") == 0 || strcmp(value, "=") == 0) {
            buf_u8(&message_buf, value[0] == '-' ? 'n' : 'u');
            continue;
        }
        buf_u8(&message_buf, 't');
        buf_u32(&message_buf, (uint32_t)strlen(value));
        buf_bytes(&message_buf, value, strlen(value));
    }
    message_buf.at[count_at] = (uint8_t)(count >> 8);
    message_buf.at[count_at + 1] = (uint8_t)count;
}

// kind: I, U or D. old: K or O and the values, or NULL. new: values, or NULL.
static inline struct slice message_change(char kind, uint32_t oid, const char *old, const char *new)
{
    buf_clear(&message_buf);
    buf_u8(&message_buf, (uint8_t)kind);
    buf_u32(&message_buf, oid);
    if (old != NULL) {
        buf_u8(&message_buf, (uint8_t)old[0]);
        message_row(old + 1);
    }
    if (new != NULL) {
        buf_u8(&message_buf, 'N');
        message_row(new);
    }
    return message_end();
}

static inline struct slice message_truncate(uint32_t oid, uint32_t other)
{
    buf_clear(&message_buf);
    buf_u8(&message_buf, 'T');
    buf_u32(&message_buf, 1 + (other != 0));
    buf_u8(&message_buf, 0);
    buf_u32(&message_buf, oid);
    if (other != 0)
        buf_u32(&message_buf, other);
    return message_end();
}

static inline struct slice message_bare(const char *text)
{
    buf_clear(&message_buf);
    buf_bytes(&message_buf, text, strlen(text));
    return message_end();
}
