/* A webhook receiver that is faster than anything that sends to it: one thread, epoll, HTTP/1.1 with kept connections.
 *
 *   POST /hang/…       never answered         POST /later/…     never answered while /_hang/1 is set
 *   POST /bad/…        500 if the body contains BAD, else 200
 *   POST /delay/MS/…   answered after MS milliseconds
 *   POST /status/N/…   answered with status N     anything else: 200 at once
 *   GET /_count  /_arrivals  /_reset  /_hang/0  /_hang/1  are for the benchmark itself.
 *
 * An arrival is stamped with CLOCK_MONOTONIC when the request has been read whole. It prints its port and runs
 * until it is told to stop, or until its standard input closes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 65536, MAX_EVENTS = 256, FIRST_BUFFER = 8192, MAX_REQUEST = 4 << 20 };

struct connection {
    char *in;
    size_t length, room;
    int hangs;          /* one request is never answered: read on only to see it close */
    int delayed_status; /* answer this ... */
    uint64_t due;       /* ... at this time; 0: nothing waits */
    int continued;      /* 100 Continue was sent for the request under way */
};

struct arrival {
    uint64_t at;
    uint16_t status; /* 0: not answered */
    char path[32], id[48], reference[32];
};

static struct connection *connections[MAX_FDS];
static struct arrival *arrivals;
static size_t arrival_count, arrival_room;
static int hanging, delayed, highest;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void write_all(int fd, const char *data, size_t length) {
    while (length) {
        ssize_t written = send(fd, data, length, MSG_NOSIGNAL);
        if (written > 0) {
            data += written;
            length -= (size_t)written;
        } else if (written < 0 && errno == EAGAIN) {
            struct pollfd wait = {fd, POLLOUT, 0};
            if (poll(&wait, 1, 5000) <= 0) return;
        } else {
            return;
        }
    }
}

static void drop(int fd) {
    struct connection *c = connections[fd];
    connections[fd] = NULL;
    if (c) {
        if (c->due) delayed--;
        free(c->in);
        free(c);
    }
    close(fd);
}

static void answer(int fd, int status) {
    char text[128];
    const char *body = "{\"ok\":true}";
    int length = snprintf(text, sizeof text,
                          "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
                          status < 400 ? "OK" : "Error", strlen(body), body);
    write_all(fd, text, (size_t)length);
}

static void answer_text(int fd, const char *body, size_t length) {
    char head[128];
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                     length);
    write_all(fd, head, (size_t)n);
    write_all(fd, body, length);
}

/* Copy at most room - 1 characters up to a space, quote or control character. */
static void copy_word(char *to, size_t room, const char *from, const char *end) {
    size_t n = 0;
    while (from < end && n + 1 < room && *from > ' ' && *from != '"') to[n++] = *from++;
    to[n] = 0;
}

static const char *header(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *line = memchr(head, '\n', (size_t)(end - head)); line && line + 1 + length < end;
         line = memchr(line + 1, '\n', (size_t)(end - line - 1))) {
        if (!strncasecmp(line + 1, name, length) && line[1 + length] == ':') {
            const char *value = line + length + 2;
            while (value < end && *value == ' ') value++;
            return value;
        }
    }
    return NULL;
}

static struct arrival *note(const char *path, const char *head, const char *head_end, const char *body_end) {
    if (arrival_count == arrival_room) {
        arrival_room = arrival_room ? 2 * arrival_room : 4096;
        arrivals = realloc(arrivals, arrival_room * sizeof *arrivals);
        if (!arrivals) abort();
    }
    struct arrival *a = &arrivals[arrival_count++];
    memset(a, 0, sizeof *a);
    a->at = now();
    copy_word(a->path, sizeof a->path, path, head_end);
    const char *id = header(head, head_end, "webhook-id");
    if (id) copy_word(a->id, sizeof a->id, id, head_end);
    static const char key[] = "\"reference_id\"";
    const char *found = memmem(head_end, (size_t)(body_end - head_end), key, sizeof key - 1);
    if (found) {
        found += sizeof key - 1;
        while (found < body_end && (*found == ':' || *found == ' ' || *found == '"')) found++;
        copy_word(a->reference, sizeof a->reference, found, body_end);
    }
    return a;
}

static void control(int fd, const char *path) {
    char text[64];
    if (!strncmp(path, "/_count", 7)) {
        answer_text(fd, text, (size_t)snprintf(text, sizeof text, "%zu", arrival_count));
    } else if (!strncmp(path, "/_reset", 7)) {
        arrival_count = 0;
        answer_text(fd, "ok", 2);
    } else if (!strncmp(path, "/_hang/", 7)) {
        hanging = path[7] == '1';
        answer_text(fd, "ok", 2);
    } else if (!strncmp(path, "/_arrivals", 10)) {
        size_t room = arrival_count * 160 + 1, length = 0;
        char *body = malloc(room);
        if (!body) abort();
        for (size_t i = 0; i < arrival_count; i++) {
            struct arrival *a = &arrivals[i];
            length += (size_t)snprintf(body + length, room - length, "%llu %u %s %s %s\n", (unsigned long long)a->at,
                                       a->status, a->path, a->id[0] ? a->id : "-", a->reference[0] ? a->reference : "-");
        }
        answer_text(fd, body, length);
        free(body);
    } else {
        answer(fd, 404);
    }
}

/* Handle the first whole request in the buffer; return its length, 0 if there is none yet, -1 to close. */
static ssize_t handle(int fd, struct connection *c, const char *start, size_t length) {
    const char *head_end = memmem(start, length, "\r\n\r\n", 4);
    if (!head_end) return length > 65536 ? -1 : 0;
    head_end += 4;
    const char *declared = header(start, head_end, "content-length");
    size_t body = declared ? strtoul(declared, NULL, 10) : 0;
    if (body > MAX_REQUEST) return -1;
    size_t whole = (size_t)(head_end - start) + body;
    if (length < whole) {
        if (!c->continued && header(start, head_end, "expect")) {
            write_all(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
            c->continued = 1;
        }
        return 0;
    }
    c->continued = 0;
    const char *path = memchr(start, ' ', (size_t)(head_end - start));
    if (!path) return -1;
    path++;
    if (!strncmp(path, "/_", 2)) {
        control(fd, path);
        return (ssize_t)whole;
    }
    const char *end = start + whole;
    struct arrival *a = note(path, start, head_end, end);
    if (!strncmp(path, "/hang/", 6) || (hanging && !strncmp(path, "/later/", 7))) {
        c->hangs = 1;
        return (ssize_t)whole;
    }
    a->status = 200;
    if (!strncmp(path, "/bad/", 5) && memmem(head_end, (size_t)(end - head_end), "BAD", 3)) a->status = 500;
    if (!strncmp(path, "/status/", 8)) a->status = (uint16_t)atoi(path + 8);
    if (!strncmp(path, "/delay/", 7)) {
        c->delayed_status = a->status;
        c->due = now() + (uint64_t)atoi(path + 7) * 1000000u;
        delayed++;
    } else {
        answer(fd, a->status);
    }
    return (ssize_t)whole;
}

static void work(int fd) {
    struct connection *c = connections[fd];
    size_t used = 0;
    while (!c->hangs && !c->due && used < c->length) {
        ssize_t done = handle(fd, c, c->in + used, c->length - used);
        if (done < 0) {
            drop(fd);
            return;
        }
        if (!done) break;
        used += (size_t)done;
    }
    if (used) {
        memmove(c->in, c->in + used, c->length - used);
        c->length -= used;
    }
}

static void readable(int fd) {
    struct connection *c = connections[fd];
    for (;;) {
        if (c->room - c->length < FIRST_BUFFER / 2) {
            c->room = c->room ? 2 * c->room : FIRST_BUFFER;
            c->in = realloc(c->in, c->room);
            if (!c->in) abort();
        }
        size_t room = c->room - c->length;
        ssize_t got = recv(fd, c->in + c->length, room, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            drop(fd);
            return;
        }
        if (got < 0) break;
        c->length += (size_t)got;
        if ((size_t)got < room) break;
    }
    work(fd);
}

static int answer_delayed(void) {
    if (!delayed) return -1;
    uint64_t time = now(), next = UINT64_MAX;
    for (int fd = 0; fd <= highest; fd++) {
        struct connection *c = connections[fd];
        if (!c || !c->due) continue;
        if (c->due <= time) {
            c->due = 0;
            delayed--;
            answer(fd, c->delayed_status);
            work(fd);
        } else if (c->due < next) {
            next = c->due;
        }
    }
    return next == UINT64_MAX ? -1 : (int)((next - time) / 1000000u) + 1;
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), epoll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[MAX_EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = 0; /* whoever started it is gone */
    epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, MAX_EVENTS, answer_delayed());
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == 0) {
                char byte;
                if (read(0, &byte, 1) <= 0) return 0;
            } else if (fd == listener) {
                int client;
                while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                    if (client >= MAX_FDS) {
                        close(client);
                        continue;
                    }
                    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    connections[client] = calloc(1, sizeof(struct connection));
                    if (!connections[client]) abort();
                    if (client > highest) highest = client;
                    event.events = EPOLLIN;
                    event.data.fd = client;
                    epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
                }
            } else if (connections[fd]) {
                readable(fd);
            }
        }
    }
}
