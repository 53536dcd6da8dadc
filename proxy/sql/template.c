// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/template.h"

#include "cache/hints.h"
#include "proxy/sql/word.h"

// What a byte may begin, outside of quotes. Anything that is not named here is one byte of an
// operator or punctuation and stands for itself.
enum byte_class {
    BYTE_SELF,
    BYTE_SPACE,
    BYTE_WORD,   // letters and underscore
    BYTE_DIGIT,
    BYTE_DOT,    // may begin a number
    BYTE_QUOTE,
    BYTE_DOUBLE, // "
    BYTE_DOLLAR, // a parameter, or a dollar quote
    BYTE_DASH,   // may begin a comment
    BYTE_SLASH,  // likewise
    BYTE_STRANGE, // we do not know how PostgreSQL would read on from here
};

#define LETTERS(first, last) [first ... last] = BYTE_WORD
static const uint8_t byte_class[256] = {
    [0 ... 8] = BYTE_STRANGE,
    ['\t'] = BYTE_SPACE,
    ['\n'] = BYTE_SPACE,
    [11] = BYTE_STRANGE, // vertical tab: white space from PostgreSQL 16 on
    ['\f'] = BYTE_SPACE,
    ['\r'] = BYTE_SPACE,
    [14 ... 31] = BYTE_STRANGE,
    [' '] = BYTE_SPACE,
    ['"'] = BYTE_DOUBLE,
    ['$'] = BYTE_DOLLAR,
    ['\''] = BYTE_QUOTE,
    ['-'] = BYTE_DASH,
    ['.'] = BYTE_DOT,
    ['/'] = BYTE_SLASH,
    ['0' ... '9'] = BYTE_DIGIT,
    LETTERS('A', 'Z'),
    ['\\'] = BYTE_STRANGE,
    ['_'] = BYTE_WORD,
    LETTERS('a', 'z'),
    [127 ... 255] = BYTE_STRANGE, // in some client encodings the next byte belongs to it
};

struct lexer {
    const uint8_t *at;
    const uint8_t *begin;
    const uint8_t *end;
    uint8_t *out;
};

static inline uint8_t class_of(uint8_t byte)
{
    return byte_class[byte];
}

static inline bool is_digit(const uint8_t *at, const uint8_t *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

// What directly behind a number would make PostgreSQL's reading depend on its version or worse.
static inline bool is_junk_after_number(const uint8_t *at, const uint8_t *end)
{
    if (at == end)
        return false;
    uint8_t class = class_of(*at);
    return class == BYTE_WORD || class == BYTE_DIGIT || class == BYTE_DOT ||
           class == BYTE_DOLLAR || class == BYTE_QUOTE || class == BYTE_STRANGE;
}

// What most numbers end before.
static inline bool ends_number(uint8_t byte)
{
    return class_of(byte) <= BYTE_SPACE;
}

static inline bool word_is(const uint8_t *word, size_t len, const char *lower)
{
    for (size_t i = 0; i < len; i++)
        if ((word[i] | 0x20) != lower[i])
            return false;
    return true;
}

static inline const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && class_of(*at) == BYTE_SPACE)
        at++;
    return at;
}

// An identifier or keyword, kept, and the space behind it. FLOAT(n) names another type for another
// n, so it is given up on: then it is false.
__attribute__((always_inline)) static inline bool copy_word(const uint8_t **at,
                                                            const uint8_t *end, uint8_t **out)
{
    const uint8_t *from = *at;
    const uint8_t *to = word_copy(from, end, *out); // *out is never ahead of what it is copied from
    size_t len = (size_t)(to - from);
    *out += len;
    *at = to;
    if (len == 5 && (*from | 0x20) == 'f' && word_is(from, len, "float")) {
        to = skip_space(to, end);
        return to == end || (*to != '(' && *to != '/' && *to != '-'); // a comment is a space, too
    }
    if (to < end && *to == ' ') {
        *(*out)++ = ' ';
        (*at)++;
    }
    return true;
}

// What the digits in [at, end) are, without a dot or an exponent.
static uint8_t integer_or_decimal(const uint8_t *at, const uint8_t *end)
{
    static const char largest[] = "2147483647";
    if (end - at < 10)
        return TEMPLATE_INTEGER;
    while (at < end && *at == '0')
        at++;
    if (end - at != 10)
        return end - at < 10 ? TEMPLATE_INTEGER : TEMPLATE_DECIMAL;
    return memcmp(at, largest, 10) <= 0 ? TEMPLATE_INTEGER : TEMPLATE_DECIMAL;
}

static bool lex_number(struct lexer *l)
{
    const uint8_t *at = l->at;
    const uint8_t *end = l->end;
    while (is_digit(at, end))
        at++;
    const uint8_t *digits_end = at;
    if (at < end && ends_number(*at)) {
        *l->out++ = integer_or_decimal(l->at, at);
        l->at = at;
        return true;
    }
    if (at < end && *at == '.') {
        at++;
        while (is_digit(at, end))
            at++;
    }
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        if (!is_digit(at, end))
            return false;
        while (is_digit(at, end))
            at++;
    }
    if (is_junk_after_number(at, end))
        return false;
    *l->out++ = at == digits_end ? integer_or_decimal(l->at, at) : TEMPLATE_DECIMAL;
    l->at = at;
    return true;
}

// The end of a quoted run (behind the closing quote), or NULL. A doubled quote goes on.
static const uint8_t *quoted_end(const uint8_t *at, const uint8_t *end, uint8_t quote)
{
    for (at++; at < end; at++) {
        if (*at == '\\' || *at == 0)
            return NULL;
        if (*at == quote) {
            at++;
            if (at == end || *at != quote)
                return at;
        }
    }
    return NULL;
}

static inline bool has_unicode_prefix(const struct lexer *l)
{
    return l->at - l->begin >= 2 && l->at[-1] == '&' && (l->at[-2] | 0x20) == 'u';
}

static bool lex_string(struct lexer *l)
{
    if (l->at > l->begin && class_of(l->at[-1]) != BYTE_SPACE &&
        (has_unicode_prefix(l) || class_of(l->at[-1]) == BYTE_WORD ||
         class_of(l->at[-1]) == BYTE_DIGIT || class_of(l->at[-1]) == BYTE_DOLLAR))
        return false; // E'', B'', X'', N'', U&''
    const uint8_t *end = quoted_end(l->at, l->end, '\'');
    if (end == NULL)
        return false;
    // 'to' and 'day' on two lines, even with a -- comment between, are one constant.
    const uint8_t *next = skip_space(end, l->end);
    if (next < l->end && (*next == '\'' || (*next == '-' && next + 1 < l->end && next[1] == '-')))
        return false;
    size_t len = (size_t)(end - l->at);
    if (len >= 5 && template_has_datetime_word(slice_of(l->at, len))) {
        memcpy(l->out, l->at, len);
        l->out += len;
    } else {
        *l->out++ = TEMPLATE_STRING;
    }
    l->at = end;
    return true;
}

static bool lex_quoted_identifier(struct lexer *l)
{
    if (has_unicode_prefix(l))
        return false;
    const uint8_t *end = quoted_end(l->at, l->end, '"');
    if (end == NULL)
        return false;
    for (const uint8_t *at = l->at; at < end; at++) {
        if (*at < ' ' || *at > 126)
            return false;
        *l->out++ = *at;
    }
    l->at = end;
    return true;
}

// $1 and the like, kept.
static bool lex_parameter(struct lexer *l)
{
    *l->out++ = *l->at++;
    if (!is_digit(l->at, l->end))
        return false;
    while (is_digit(l->at, l->end))
        *l->out++ = *l->at++;
    return l->at == l->end || (class_of(*l->at) != BYTE_WORD && class_of(*l->at) != BYTE_DOLLAR &&
                               class_of(*l->at) != BYTE_STRANGE);
}

// A comment up to the end of the line, dropped: the end of the line stays.
static bool lex_line_comment(struct lexer *l)
{
    while (l->at < l->end && *l->at != '\n' && *l->at != '\r')
        if (*l->at++ == 0)
            return false;
    return true;
}

// One that is meant for us tells this text from those that ask for something else: it is kept.
static bool keep_hints(struct lexer *l, const uint8_t *end)
{
    size_t n = (size_t)(end - l->at);
    if (!hints_are(slice_of(l->at + 2, n - 4)))
        return false;
    memcpy(l->out, l->at, n);
    l->out += n;
    return true;
}

// A comment in slash and star is as good as a space. One within another: given up.
static bool lex_block_comment(struct lexer *l)
{
    for (const uint8_t *at = l->at + 2; at + 1 < l->end && *at != 0; at++) {
        if (at[0] == '/' && at[1] == '*')
            return false;
        if (at[0] == '*' && at[1] == '/') {
            if (!keep_hints(l, at + 2))
                *l->out++ = ' ';
            l->at = at + 2;
            return true;
        }
    }
    return false;
}

static bool lex_one(struct lexer *l)
{
    uint8_t byte = *l->at;
    bool more = l->at + 1 < l->end;
    switch ((enum byte_class)class_of(byte)) {
    case BYTE_WORD:
        return copy_word(&l->at, l->end, &l->out);
    case BYTE_DIGIT:
        return lex_number(l);
    case BYTE_DOT:
        if (is_digit(l->at + 1, l->end))
            return lex_number(l);
        break;
    case BYTE_QUOTE:
        return lex_string(l);
    case BYTE_DOUBLE:
        return lex_quoted_identifier(l);
    case BYTE_DOLLAR:
        return lex_parameter(l);
    case BYTE_DASH:
        if (more && l->at[1] == '-')
            return lex_line_comment(l);
        break;
    case BYTE_SLASH:
        if (more && l->at[1] == '*')
            return lex_block_comment(l);
        break;
    case BYTE_STRANGE:
        return false;
    case BYTE_SELF:
    case BYTE_SPACE:
        break;
    }
    *l->out++ = byte;
    l->at++;
    return true;
}

struct template template_of(struct slice sql, uint8_t *out)
{
    struct template verbatim = {.bytes = sql, .verbatim = true};
    if (sql.len > TEMPLATE_MAX_BYTES)
        return verbatim;
    const uint8_t *at = sql.at, *end = sql.at + sql.len;
    struct lexer l = {.begin = at, .end = end};
    uint8_t *to = out;
    while (at < end) { // what lex_one() does; most bytes are words', spaces and punctuation
        enum byte_class class = (enum byte_class)class_of(*at);
        if (class == BYTE_WORD) {
            if (!copy_word(&at, end, &to))
                return verbatim;
        } else if (class <= BYTE_SPACE) {
            *to++ = *at++;
        } else {
            l.at = at;
            l.out = to;
            if (!lex_one(&l))
                return verbatim;
            at = l.at;
            to = l.out;
        }
    }
    return (struct template){.bytes = slice_of(out, (size_t)(to - out)), .verbatim = false};
}

// No byte of a text that is left as it is can be taken for a placeholder: those are BYTE_STRANGE.
size_t template_constants(struct slice sql, struct template_constant *out)
{
    uint8_t scratch[TEMPLATE_MAX_BYTES];
    size_t n = 0;
    if (sql.len > TEMPLATE_MAX_BYTES)
        return 0;
    struct lexer l = {.at = sql.at, .begin = sql.at, .end = sql.at + sql.len, .out = scratch};
    while (l.at < l.end) {
        const uint8_t *from = l.at, *written = l.out;
        if (!lex_one(&l))
            return 0;
        if (l.out - written == 1 && *written <= TEMPLATE_STRING && n < TEMPLATE_CONSTANTS_MAX)
            out[n++] = (struct template_constant){slice_of(from, (size_t)(l.at - from)), *written};
    }
    return n;
}

size_t template_constant_at(struct slice sql, size_t at, uint8_t kind)
{
    uint8_t out[TEMPLATE_MAX_BYTES]; // a string with a date's word is copied
    struct lexer l = {.at = sql.at + at, .begin = sql.at, .end = sql.at + sql.len, .out = out};
    if (kind == TEMPLATE_STRING ? *l.at != '\'' : !is_digit(l.at, l.end))
        return 0;
    bool read = kind == TEMPLATE_STRING ? lex_string(&l) : lex_number(&l);
    return read && l.out == out + 1 && out[0] == kind ? (size_t)(l.at - sql.at) - at : 0;
}

static inline bool is_letter(uint8_t byte)
{
    byte |= 0x20;
    return byte >= 'a' && byte <= 'z';
}

// What escapes and quotes in an element of an array and in a bound of a range: it goes, wherever it
// stands (array_in() and range_in() in PostgreSQL).
static const uint8_t *skip_escapes(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == '\\' || *at == '"'))
        at++;
    return at;
}

static bool word_at(const uint8_t *at, const uint8_t *end, const char *lower)
{
    for (; *lower != '\0'; lower++, at++) {
        at = skip_escapes(at, end);
        if (at == end || (*at | 0x20) != *lower)
            return false;
    }
    return at == end || !is_letter(*at);
}

bool template_begins_with_datetime_word(struct slice bytes)
{
    const uint8_t *at = bytes.at, *end = bytes.at + bytes.len;
    return word_at(at, end, "now") || word_at(at, end, "today") || word_at(at, end, "tomorrow") ||
           word_at(at, end, "yesterday");
}

// PostgreSQL's date reader takes a run of letters as one word (ParseDateTime in datetime.c), so
// "know" is none of the four. Bytes beyond ASCII count as no letters here: that only costs a hit.
bool template_has_datetime_word(struct slice bytes)
{
    const uint8_t *end = bytes.at + bytes.len;
    for (const uint8_t *at = bytes.at; at < end; at++) {
        uint8_t lower = *at | 0x20;
        if ((lower != 'n' && lower != 't' && lower != 'y') ||
            (at > bytes.at && is_letter(at[-1])))
            continue;
        if (template_begins_with_datetime_word(slice_of(at, (size_t)(end - at))))
            return true;
    }
    return false;
}
