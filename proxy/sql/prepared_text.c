// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/prepared_text.h"

#include <strings.h>

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '$' || c >= 0x80;
}

static bool begins(struct slice s, const char *with)
{
    return s.len >= 2 && s.at[0] == (uint8_t)with[0] && s.at[1] == (uint8_t)with[1];
}

// Behind a comment that s begins with; block comments nest.
static struct slice skip_comment(struct slice s)
{
    if (begins(s, "--")) {
        while (s.len > 0 && s.at[0] != '\n' && s.at[0] != '\r')
            s = slice_skip(s, 1);
        return s;
    }
    int depth = 0;
    while (s.len > 0) {
        bool opens = begins(s, "/*"), ends = begins(s, "*/");
        depth += opens - ends;
        s = slice_skip(s, opens || ends ? 2 : 1);
        if (depth == 0)
            break;
    }
    return s;
}

static struct slice skip_quoted(struct slice s)
{
    uint8_t quote = s.at[0];
    s = slice_skip(s, 1);
    while (s.len > 0 && s.at[0] != quote)
        s = slice_skip(s, 1);
    return s.len > 0 ? slice_skip(s, 1) : s; // a doubled quote begins another one
}

static size_t word_bytes(struct slice s)
{
    size_t n = 0;
    while (n < s.len && is_word(s.at[n]))
        n++;
    return n;
}

struct slice prepared_text_query(struct slice sql)
{
    int depth = 0, words = 0;
    while (sql.len > 0) {
        if (begins(sql, "--") || begins(sql, "/*")) {
            sql = skip_comment(sql);
        } else if (sql.at[0] == '"' || sql.at[0] == '\'') {
            words++; // the name, perhaps
            sql = skip_quoted(sql);
        } else if (is_word(sql.at[0])) {
            size_t n = word_bytes(sql);
            bool as = n == 2 && strncasecmp((const char *)sql.at, "as", 2) == 0;
            if (as && depth == 0 && words >= 2)
                return slice_skip(sql, n);
            words++;
            sql = slice_skip(sql, n);
        } else {
            depth += (sql.at[0] == '(') - (sql.at[0] == ')');
            sql = slice_skip(sql, 1);
        }
    }
    return slice_of("", 0);
}
