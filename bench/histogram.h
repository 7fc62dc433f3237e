/* histogram.h: latencies counted in buckets, percentiles read off them.
 *
 * A bucket is one of 32 equal parts of a power of two: the answer is within 3 %, adding is a few
 * instructions, and nothing is stored per message. Allocates nothing; one writer.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { PART_BITS = 5, PARTS = 1 << PART_BITS, BUCKETS = (64 - PART_BITS + 1) * PARTS };

struct histogram {
    uint64_t total;
    uint64_t buckets[BUCKETS];
};

/* Values below PARTS have a bucket each; above, the top PART_BITS + 1 bits choose it. */
static inline unsigned histogram_bucket(uint64_t value)
{
    if (value < PARTS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - PART_BITS;
    return (shift + 1) * PARTS + (unsigned)((value >> shift) - PARTS);
}

/* The lower edge of a bucket: the inverse of histogram_bucket. */
static inline uint64_t histogram_edge(unsigned bucket)
{
    if (bucket < PARTS)
        return bucket;
    return (uint64_t)(PARTS + bucket % PARTS) << (bucket / PARTS - 1);
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    h->total++;
    h->buckets[histogram_bucket(value)]++;
}

static inline double histogram_percentile(const struct histogram *h, double percent)
{
    double rest = (double)h->total * percent / 100;
    unsigned bucket = 0;
    while (bucket < BUCKETS - 1 && (double)h->buckets[bucket] < rest)
        rest -= (double)h->buckets[bucket++];
    return (double)(histogram_edge(bucket) + histogram_edge(bucket + 1)) / 2;
}

#endif
