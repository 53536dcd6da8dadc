// SPDX-License-Identifier: Apache-2.0
// What cannot happen is checked, in release builds too: a proxy that is wrong about its own state
// must stop before it hands one client's rows to another.
#pragma once
#include <stdint.h>

_Noreturn void check_failed(const char *claim, const char *file, int line);

#define CHECK(claim) ((claim) ? (void)0 : check_failed(#claim, __FILE__, __LINE__))

// Every long-lived struct starts with `uint32_t tag`; functions that receive one from a list, a
// callback or another thread check it on entry.
#define TAG_SET(object, value) ((object)->tag = (value))
#define TAG_CHECK(object, value) CHECK((object) != NULL && (object)->tag == (value))
#define TAG_CLEAR(object) ((object)->tag = 0xdeadu)
