// SPDX-License-Identifier: Apache-2.0
#include "proxy/daemon.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"

bool daemon_fatal(const char *what, const char *why)
{
    log_write(LOG_LEVEL_FATAL, "%s: %s", what, why);
    return false;
}

bool daemon_become_user(const char *name)
{
    if (name[0] == '\0' || geteuid() != 0)
        return true;
    const struct passwd *pw = getpwnam(name);
    if (pw == NULL)
        return daemon_fatal("no such user", name);
    if (initgroups(name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
        return daemon_fatal("cannot become user", strerror(errno));
    return true;
}

bool daemon_go_background(const struct settings *settings)
{
    if (settings->logfile[0] == '\0' && !settings->syslog)
        return daemon_fatal("daemon needs logfile configured", "set logfile");
    if (daemon(1, 0) < 0)
        return daemon_fatal("daemon", strerror(errno));
    return true;
}

bool daemon_write_pidfile(const char *path)
{
    if (path[0] == '\0')
        return true;
    FILE *old = fopen(path, "r");
    int pid = 0;
    if (old != NULL) {
        if (fscanf(old, "%d", &pid) == 1 && pid > 0 && pid != getpid() &&
            (kill(pid, 0) == 0 || errno == EPERM)) {
            fclose(old);
            log_write(LOG_LEVEL_FATAL, "pidfile '%s' exists, another instance running?", path);
            return false;
        }
        fclose(old);
    }
    FILE *f = fopen(path, "w");
    if (f == NULL)
        return daemon_fatal(path, strerror(errno));
    fprintf(f, "%d\n", (int)getpid());
    return fclose(f) == 0 || daemon_fatal(path, strerror(errno));
}

// As many as the system gives; and how many it may take, in PgBouncer's words.
void daemon_raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    int most = config_settings(config)->max_client_conn;
    int strangers = config_settings(config)->max_login_conn;
    long expected = most + (strangers > 0 ? strangers : most) + 10;
    for (size_t i = 0; i < config_database_count(config); i++) {
        const struct config_database *db = config_database_at(config, i);
        long users = db->user != NULL ? 1 : (long)config_user_count(config);
        expected += users * config_pool_size(config, db, NULL);
    }
    log_info("kernel file descriptor limit: %lld (hard: %lld); max_client_conn: %d, "
             "max expected fd use: %ld",
             (long long)limit.rlim_cur, (long long)limit.rlim_max, most, expected);
}
