/*
 * list.h: a doubly linked list whose links live inside the things that are listed.
 *
 * The idea: a link that is in no list points at itself, so "is it listed?" is one comparison and
 * taking a thing out of whatever list it is in needs no pointer to that list. That is what makes
 * leaving a wait list O(1), however many wait in it.
 *
 * Invariants: `prev` and `next` are never NULL after init; a head is a link like any other.
 * Callers: any core file, on the thread that owns the hub (or whoever holds the embedder's lock).
 * Do not add: allocation, counting, ownership. A list knows neither its length nor who owns what.
 */
#ifndef FBL_LIST_H
#define FBL_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fbl_link {
    struct fbl_link *prev; /* towards the head; itself when unlisted */
    struct fbl_link *next; /* towards the tail; itself when unlisted */
} fbl_link;

/* The struct that holds `link` as its member `member`. */
#define fbl_container_of(link, type, member) ((type *)((char *)(link) - offsetof(type, member)))

static inline void fbl_list_init(fbl_link *link)
{
    link->prev = link;
    link->next = link;
}

static inline bool fbl_list_is_empty(const fbl_link *head) { return head->next == head; }

/* The same comparison, read from the other side: is this member in some list? */
static inline bool fbl_list_has(const fbl_link *link) { return link->next != link; }

static inline void fbl_list_append(fbl_link *head, fbl_link *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void fbl_list_prepend(fbl_link *head, fbl_link *link)
{
    fbl_list_append(head->next, link);
}

/* Taking out what is not in is allowed and does nothing: a cancelled wait need not remember. */
static inline void fbl_list_remove(fbl_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    fbl_list_init(link);
}

#endif
