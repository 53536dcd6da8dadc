// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/texts.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "proxy/sql/pattern.h"

enum {
    TEXTS_TAG = 0x74657874,
    SHARDS = 16,                      // a power of two
    FRONT_PLACES = 2048,              // likewise
    LUCK_MAX = 64,
    UNLUCKY_TRIES = 16,
    REMEMBERED_BYTES_MAX = 64 * 1024, // a longer text is analysed each time
    FRONT_BYTES_MAX = 2048,           // a longer one is looked up in its shard each time
    VERBATIM_PLACES = 1024,           // a power of two
    VERBATIM_BYTES = 236,             // a place then has 256
    VERBATIM_MIX = 0x5bd1e995,        // keeps the two kinds of keys apart in most cases
};

// One template and what it is. Counted: by its shard, and by the fronts that know it.
struct text {
    struct hash_node node;    // in its shard
    struct link link;         // in its shard's clock
    _Atomic uint32_t refs;
    bool used;                // since the clock's hand came by; under the shard's lock
    bool verbatim;
    struct analysis *analysis; // counts
    size_t len;
    uint8_t bytes[];
};

struct shard {
    pthread_mutex_t lock;
    struct hash_table table;
    struct list clock; // the hand is at the front
    size_t bytes;
    uint64_t hits;
    uint64_t misses;
    uint64_t evictions;
};

struct texts {
    uint32_t tag;
    size_t shard_limit_count;
    size_t shard_limit_bytes;
    struct shard shards[SHARDS];
};

// A text as it came, constants and all: asked for again, it need not be taken apart.
struct verbatim {
    struct text *text; // counts; NULL: empty
    uint64_t hash;
    uint32_t len;
    uint8_t bytes[VERBATIM_BYTES];
};

// Looking for what came before costs something when it does not help: then it is done now and then.
struct luck {
    uint8_t left;
    uint8_t unlucky; // how many went without since
};

struct texts_front {
    struct texts *texts;              // borrows
    struct patterns patterns;         // each counts the text that it is of
    struct verbatim verbatim[VERBATIM_PLACES];
    struct text *places[FRONT_PLACES]; // count
    struct text *last;                // counts; one that is too long for a place
    struct luck same, alike;          // of looking among verbatim, and among patterns
    struct slice last_read;           // borrows; empty: none, or another was asked for since
    struct analysis *last_analysis;   // borrows; of that
    uint8_t template[TEMPLATE_MAX_BYTES];
};

struct text_key {
    struct slice bytes;
    bool verbatim;
    uint64_t hash;
};

static struct text_key key_of(struct slice sql, uint8_t *out)
{
    struct template template = template_of(sql, out);
    uint64_t hash = hash_bytes(template.bytes.at, template.bytes.len);
    return (struct text_key){template.bytes, template.verbatim,
                             template.verbatim ? hash ^ VERBATIM_MIX : hash};
}

static bool text_is(const struct text *text, const struct text_key *key)
{
    return text->node.hash == key->hash && text->verbatim == key->verbatim &&
           slice_eq(slice_of(text->bytes, text->len), key->bytes);
}

static size_t text_bytes(const struct text *text)
{
    return sizeof(*text) + text->len + text->analysis->bytes;
}

static struct text *text_ref(struct text *text)
{
    atomic_fetch_add_explicit(&text->refs, 1, memory_order_relaxed);
    return text;
}

static void text_unref(struct text *text)
{
    if (atomic_fetch_sub_explicit(&text->refs, 1, memory_order_acq_rel) != 1)
        return;
    analysis_unref(&text->analysis);
    mem_free(text);
}

static bool has_constant_keys(const struct sql_keys *keys)
{
    for (uint16_t i = 0; i < keys->n_values; i++)
        if (keys->values[i].kind != SQL_PARAMETER)
            return true;
    return false;
}

// Analyses the text itself, not its template: the placeholders are not SQL.
static struct text *text_new(const struct text_key *key, struct slice sql)
{
    size_t len = key->bytes.len > REMEMBERED_BYTES_MAX ? 0 : key->bytes.len;
    struct text *text = mem_alloc(sizeof(*text) + len);
    *text = (struct text){.refs = 1, .verbatim = key->verbatim, .len = len};
    text->node.hash = key->hash;
    link_init(&text->link);
    if (len > 0)
        memcpy(text->bytes, key->bytes.at, len);
    struct analysis *a = text->analysis = analysis_new(sql);
    a->hash = key->hash;
    if (!key->verbatim && has_constant_keys(&a->keys)) {
        a->pattern = pattern_new(sql);
        a->bytes += a->pattern != NULL ? sizeof(*a->pattern) + sql.len : 0;
    }
    return text;
}

// ---- A shard, under its lock --------------------------------------------------------------------

static struct text *shard_find(struct shard *shard, const struct text_key *key)
{
    for (struct hash_node *node = hash_first(&shard->table, key->hash); node != NULL;
         node = hash_next(node)) {
        struct text *text = container_of(node, struct text, node);
        if (text_is(text, key))
            return text;
    }
    return NULL;
}

static void shard_remove(struct shard *shard, struct text *text)
{
    hash_remove(&shard->table, &text->node);
    list_remove(&shard->clock, &text->link);
    shard->bytes -= text_bytes(text);
    text_unref(text);
}

// CLOCK: what was used since the hand came by last gets another round.
static void shard_make_room(struct shard *shard, size_t limit_count, size_t limit_bytes)
{
    while (shard->clock.count > limit_count || shard->bytes > limit_bytes) {
        struct text *text = container_of(list_pop_front(&shard->clock), struct text, link);
        list_push_back(&shard->clock, &text->link);
        if (!text->used || shard->clock.count == 1) {
            shard->evictions++;
            shard_remove(shard, text);
        } else {
            text->used = false;
        }
    }
}

// ---- All of them --------------------------------------------------------------------------------

struct texts *texts_new(size_t limit_count, size_t limit_bytes)
{
    CHECK(limit_count >= 64);
    struct texts *texts = mem_new(struct texts);
    TAG_SET(texts, TEXTS_TAG);
    texts->shard_limit_count = limit_count / SHARDS;
    texts->shard_limit_bytes = limit_bytes / SHARDS;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&texts->shards[i].lock, NULL);
        list_init(&texts->shards[i].clock);
    }
    return texts;
}

void texts_free(struct texts *texts)
{
    TAG_CHECK(texts, TEXTS_TAG);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &texts->shards[i];
        while (!list_empty(&shard->clock))
            shard_remove(shard, container_of(list_first(&shard->clock), struct text, link));
        hash_fini(&shard->table);
        pthread_mutex_destroy(&shard->lock);
    }
    TAG_CLEAR(texts);
    mem_free(texts);
}

// Puts a new text into its shard and gives a reference to it, or to the one that another thread
// has put there meanwhile.
static struct text *shard_add(struct texts *texts, struct shard *shard, struct text *added,
                              const struct text_key *key)
{
    pthread_mutex_lock(&shard->lock);
    struct text *known = shard_find(shard, key);
    if (known == NULL) {
        hash_insert(&shard->table, &added->node, key->hash);
        list_push_back(&shard->clock, &added->link);
        shard->bytes += text_bytes(added);
        known = text_ref(added);
        shard_make_room(shard, texts->shard_limit_count, texts->shard_limit_bytes);
    } else {
        text_ref(known);
        text_unref(added);
    }
    pthread_mutex_unlock(&shard->lock);
    return known;
}

static struct text *texts_find(struct texts *texts, struct slice sql, const struct text_key *key)
{
    struct shard *shard = &texts->shards[(key->hash >> 48) & (SHARDS - 1)];
    pthread_mutex_lock(&shard->lock);
    struct text *text = shard_find(shard, key);
    if (text != NULL) {
        text->used = true;
        text_ref(text);
        shard->hits++;
    } else {
        shard->misses++;
    }
    pthread_mutex_unlock(&shard->lock);
    if (text != NULL)
        return text;
    text = text_new(key, sql);
    if (key->bytes.len > REMEMBERED_BYTES_MAX)
        return text;
    return shard_add(texts, shard, text, key);
}

struct analysis *texts_analysis(struct texts *texts, struct slice sql)
{
    TAG_CHECK(texts, TEXTS_TAG);
    uint8_t out[TEMPLATE_MAX_BYTES];
    struct text_key key = key_of(sql, out);
    struct text *text = texts_find(texts, sql, &key);
    struct analysis *a = analysis_ref(text->analysis);
    text_unref(text);
    return a;
}

struct texts_statistics texts_statistics(struct texts *texts)
{
    struct texts_statistics sum = {0};
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &texts->shards[i];
        pthread_mutex_lock(&shard->lock);
        sum.count += shard->clock.count;
        sum.bytes += shard->bytes;
        sum.hits += shard->hits;
        sum.misses += shard->misses;
        sum.evictions += shard->evictions;
        pthread_mutex_unlock(&shard->lock);
    }
    return sum;
}

// ---- A worker's front ---------------------------------------------------------------------------

struct texts_front *texts_front_new(struct texts *texts)
{
    TAG_CHECK(texts, TEXTS_TAG);
    struct texts_front *front = mem_new(struct texts_front);
    front->texts = texts;
    front->same.left = front->alike.left = LUCK_MAX;
    return front;
}

static void forget_pattern(struct pattern *p)
{
    if (p == NULL)
        return;
    text_unref(p->of);
    pattern_free(p);
}

void texts_front_free(struct texts_front *front)
{
    for (int i = 0; i < FRONT_PLACES; i++)
        if (front->places[i] != NULL)
            text_unref(front->places[i]);
    for (int i = 0; i < VERBATIM_PLACES; i++)
        if (front->verbatim[i].text != NULL)
            text_unref(front->verbatim[i].text);
    for (int i = 0; i < PATTERN_SETS * PATTERN_WAYS; i++)
        forget_pattern(front->patterns.at[i / PATTERN_WAYS][i % PATTERN_WAYS]);
    if (front->last != NULL)
        text_unref(front->last);
    mem_free(front);
}

static bool worth_a_look(struct luck *luck)
{
    return luck->left > 0 || ++luck->unlucky % UNLUCKY_TRIES == 0;
}

static struct text *place_text(struct texts_front *front, struct slice sql,
                               const struct text_key *key)
{
    struct text **place = &front->places[key->hash % FRONT_PLACES];
    if (*place != NULL && text_is(*place, key))
        return *place;
    struct text *text = texts_find(front->texts, sql, key);
    if (key->bytes.len > FRONT_BYTES_MAX)
        place = &front->last;
    if (*place != NULL)
        text_unref(*place);
    *place = text;
    return text;
}

static struct text *front_text(struct texts_front *front, struct slice sql)
{
    bool looks = worth_a_look(&front->alike);
    struct pattern *known = looks ? patterns_find(&front->patterns, sql) : NULL;
    if (known != NULL) {
        front->alike.left = LUCK_MAX;
        return known->of;
    }
    struct text_key key = key_of(sql, front->template);
    struct text *text = place_text(front, sql, &key);
    front->alike.left -= looks && front->alike.left > 0;
    struct pattern *fresh = looks && !key.verbatim ? pattern_new(sql) : NULL;
    if (fresh != NULL) {
        fresh->of = text_ref(text);
        forget_pattern(patterns_put(&front->patterns, fresh));
    }
    return text;
}

static struct analysis *front_analysis(struct texts_front *front, struct slice sql)
{
    if (sql.len > VERBATIM_BYTES || !worth_a_look(&front->same))
        return front_text(front, sql)->analysis;
    uint64_t hash = hash_bytes(sql.at, sql.len);
    struct verbatim *known = &front->verbatim[hash % VERBATIM_PLACES];
    if (known->text != NULL && known->hash == hash &&
        slice_eq(slice_of(known->bytes, known->len), sql)) {
        front->same.left = LUCK_MAX;
        return known->text->analysis;
    }
    front->same.left -= front->same.left > 0;
    struct text *text = text_ref(front_text(front, sql));
    if (known->text != NULL)
        text_unref(known->text);
    known->text = text;
    known->hash = hash;
    known->len = (uint32_t)sql.len;
    if (sql.len > 0)
        memcpy(known->bytes, sql.at, sql.len);
    return text->analysis;
}

struct analysis *texts_front_analysis(struct texts_front *front, struct slice sql)
{
    front->last_read.len = 0; // what it is may be let go of
    return front_analysis(front, sql);
}

struct analysis *texts_front_read(struct texts_front *front, struct slice sql)
{
    if (sql.len == 0 || sql.at != front->last_read.at || sql.len != front->last_read.len) {
        front->last_analysis = front_analysis(front, sql);
        front->last_read = sql;
    }
    return front->last_analysis;
}

void texts_front_moved(struct texts_front *front)
{
    front->last_read.len = 0;
}
