// SPDX-License-Identifier: Apache-2.0
// The text of pg_current_snapshot(): what is read is a snapshot, and printed it reads the same.
#include "base/buf.h"
#include "cache/snapshot.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 200000;

void target_run(struct slice text)
{
    struct snapshot s = {0}, again = {0};
    struct buf printed = {0};
    if (snapshot_parse(&s, text)) {
        CHECK(s.xmin <= s.xmax);
        buf_printf(&printed, "%llu:%llu:", (unsigned long long)s.xmin, (unsigned long long)s.xmax);
        for (size_t i = 0; i < s.n_running; i++) {
            CHECK(s.running[i] >= s.xmin && s.running[i] < s.xmax);
            CHECK(i == 0 || s.running[i] > s.running[i - 1]);
            if (s.xmax - s.running[i] < 1u << 31) // no server has others at a time
                CHECK(!snapshot_finished(&s, (uint32_t)s.running[i]));
            buf_printf(&printed, "%s%llu", i > 0 ? "," : "", (unsigned long long)s.running[i]);
        }
        CHECK(!snapshot_finished(&s, (uint32_t)s.xmax));
        CHECK(snapshot_parse(&again, buf_slice(&printed)));
        CHECK(again.xmin == s.xmin && again.xmax == s.xmax && again.n_running == s.n_running);
    }
    buf_fini(&printed);
    snapshot_fini(&s);
    snapshot_fini(&again);
}
