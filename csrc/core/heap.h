/*
 * heap.h: a pairing heap whose nodes live inside the things that are ordered.
 *
 * The idea: nearly every timer is cancelled before it fires (a timeout around an operation that
 * succeeds), so insert and cancel must be cheap and must not allocate; popping the smallest may
 * cost O(log n). A pairing heap gives O(1) insert, and O(1) removal of a node without children,
 * which is what a freshly inserted timeout is. An array heap was the alternative: it moves nodes,
 * needs memory that can run out in the middle of a wait, and pays O(log n) for each cancel.
 *
 * Shape: a node's children form a chain `child -> next -> next`; `back` is the previous sibling,
 * or the parent for a first child. A node that is in no heap has `back == NULL` and is not a root.
 *
 * Invariant: a parent is not later than its children, by the caller's `is_before`.
 * Callers: timer.c. Do not add: allocation, recursion (a million timers would overflow the stack).
 */
#ifndef FBL_HEAP_H
#define FBL_HEAP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fbl_heap_node {
    struct fbl_heap_node *child; /* first child */
    struct fbl_heap_node *next;  /* next sibling */
    struct fbl_heap_node *back;  /* previous sibling, or the parent; NULL for the root */
} fbl_heap_node;

typedef bool fbl_heap_order(const fbl_heap_node *left, const fbl_heap_node *right);

/* Two heaps in, one out: the later root becomes the first child of the earlier one. */
static inline fbl_heap_node *fbl_heap_meld(fbl_heap_node *left, fbl_heap_node *right,
                                           fbl_heap_order *is_before)
{
    if (right == NULL)
        return left;
    if (left == NULL)
        return right;
    if (is_before(right, left)) {
        fbl_heap_node *swap = left;
        left = right;
        right = swap;
    }
    right->back = left;
    right->next = left->child;
    if (right->next != NULL)
        right->next->back = right;
    left->child = right;
    return left;
}

/* Melds a chain of siblings into one heap: pairs from left to right, then the pairs together. */
static inline fbl_heap_node *fbl_heap_meld_chain(fbl_heap_node *first, fbl_heap_order *is_before)
{
    fbl_heap_node *pairs = NULL; /* melded pairs, latest first, chained through `next` */
    while (first != NULL) {
        fbl_heap_node *left = first;
        fbl_heap_node *right = left->next;
        first = right != NULL ? right->next : NULL;
        left->next = left->back = NULL;
        if (right != NULL)
            right->next = right->back = NULL;
        left = fbl_heap_meld(left, right, is_before);
        left->next = pairs;
        pairs = left;
    }
    fbl_heap_node *root = NULL;
    while (pairs != NULL) {
        fbl_heap_node *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = fbl_heap_meld(root, pair, is_before);
    }
    return root;
}

static inline fbl_heap_node *fbl_heap_insert(fbl_heap_node *root, fbl_heap_node *node,
                                             fbl_heap_order *is_before)
{
    node->child = node->next = node->back = NULL;
    return fbl_heap_meld(root, node, is_before);
}

/* Takes `node`, which must be in the heap, out of it; returns the new root. */
static inline fbl_heap_node *fbl_heap_remove(fbl_heap_node *root, fbl_heap_node *node,
                                             fbl_heap_order *is_before)
{
    fbl_heap_node *orphans = fbl_heap_meld_chain(node->child, is_before);
    if (node == root) {
        root = orphans;
    } else {
        if (node->back->child == node)
            node->back->child = node->next;
        else
            node->back->next = node->next;
        if (node->next != NULL)
            node->next->back = node->back;
        root = fbl_heap_meld(root, orphans, is_before);
    }
    node->child = node->next = node->back = NULL;
    return root;
}

/* The node after `node` on a walk over all of a heap, parents first, in no other order; NULL after
 * the last. The walk begins at the root. */
static inline fbl_heap_node *fbl_heap_after(fbl_heap_node *node)
{
    if (node->child != NULL)
        return node->child;
    while (node->next == NULL) {
        while (node->back != NULL && node->back->child != node)
            node = node->back; /* to the first of the siblings */
        node = node->back;     /* to the parent */
        if (node == NULL)
            return NULL;
    }
    return node->next;
}

#endif
