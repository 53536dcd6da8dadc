// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/scram_text.h"

#include "base/check.h"
#include "proxy/login/base64.h"
#include "proxy/login/scram.h"

static struct slice slice_from(struct slice s, size_t n)
{
    return slice_of(s.at + n, s.len - n);
}

bool scram_text_begin(struct scram_text *text, struct slice message)
{
    *text = (struct scram_text){.rest = message, .has_more = true};
    return message.len > 0 && message.len <= SCRAM_MESSAGE_BYTES_MAX &&
           memchr(message.at, 0, message.len) == NULL;
}

bool scram_text_any(struct scram_text *text, char *name, struct slice *value)
{
    struct slice rest = text->rest;
    if (!text->has_more || rest.len < 2 || rest.at[1] != '=')
        return false;
    char letter = (char)rest.at[0];
    if ((letter < 'a' || letter > 'z') && (letter < 'A' || letter > 'Z'))
        return false;
    *name = letter;
    rest = slice_from(rest, 2);
    const uint8_t *comma = rest.len > 0 ? memchr(rest.at, ',', rest.len) : NULL;
    size_t length = comma == NULL ? rest.len : (size_t)(comma - rest.at);
    *value = slice_of(rest.at, length);
    text->has_more = comma != NULL;
    text->rest = slice_from(rest, length + (comma != NULL));
    return true;
}

bool scram_text_take(struct scram_text *text, char name, struct slice *value)
{
    char got;
    return scram_text_any(text, &got, value) && got == name;
}

bool scram_text_is_nonce(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < 0x21 || value.at[i] > 0x7e || value.at[i] == ',')
            return false;
    }
    return value.len > 0;
}

void scram_text_gs2(const struct scram_binding *binding, struct buf *out)
{
    if (binding->flag == 'p')
        buf_put(out, slice_str("p=tls-server-end-point,,"));
    else
        buf_put(out, binding->flag == 'y' ? slice_str("y,,") : slice_str("n,,"));
}

void scram_text_binding(const struct scram_binding *binding, struct buf *out)
{
    struct buf all = {0};
    scram_text_gs2(binding, &all);
    if (binding->flag == 'p')
        buf_bytes(&all, binding->endpoint, binding->endpoint_len);
    base64_write(out, all.at, all.len);
    buf_fini(&all);
}

void scram_text_bind(struct scram_binding *binding, struct slice endpoint)
{
    CHECK(endpoint.len <= sizeof binding->endpoint);
    if (endpoint.len > 0)
        memcpy(binding->endpoint, endpoint.at, endpoint.len);
    binding->endpoint_len = endpoint.len;
}
