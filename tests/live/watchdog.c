/* A daemon as systemd's own library makes one: it has a watchdog if its environment says so. `watchdog once` says each word
 * one time and ends. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static int fail(const char *what, int error) {
    fprintf(stderr, "%s: %s\n", what, strerror(error < 0 ? -error : error));
    return 1;
}

int main(int argc, char **argv) {
    uint64_t every = 0;
    int r = sd_watchdog_enabled(0, &every);
    if (r <= 0) return fail("sd_watchdog_enabled", r);
    printf("%llu\n", (unsigned long long)every);
    fflush(stdout);

    r = sd_notifyf(0, "READY=1\nSTATUS=Serving %s", "everybody");
    if (r <= 0) return fail("sd_notify", r);
    r = sd_notify_barrier(0, 5 * 1000 * 1000);
    if (r <= 0) return fail("sd_notify_barrier", r);

    /* What nobody keeps is closed. */
    int ends[2];
    if (pipe(ends) < 0) return fail("pipe", errno);
    r = sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=pipe", &ends[1], 1);
    if (r <= 0) return fail("sd_pid_notify_with_fds", r);
    close(ends[1]);
    struct pollfd closed = {.fd = ends[0], .events = 0};
    if (poll(&closed, 1, 5000) != 1) return fail("the descriptor is kept", ETIMEDOUT);

    if (argc > 1 && strcmp(argv[1], "once") == 0) return sd_notify(1, "STOPPING=1\nWATCHDOG=1") > 0 ? 0 : 1;
    for (;;) {
        if (sd_notify(0, "WATCHDOG=1") <= 0) return 1;
        usleep(every / 4);
    }
}
