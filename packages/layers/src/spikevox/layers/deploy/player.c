/* Reference player of spikevox weight packs: C99, one file, nothing but the standard library.
 *
 *     cc -std=c99 -O2 -o player player.c
 *     ./player PACK.npz OUT EVENTS...
 *
 * Reads a weight pack (version 1) and event lists (version 1), runs the network on the input of each list in integers, and writes
 * to OUT, for each list and each output of the pack: int64 rows, int64 columns, then rows x columns float64, all little-endian.
 * Exit code 0, or 1 with one line on standard error: nothing in the files is trusted.
 *
 * Of a spike, the player forms the address of the target under each kernel offset, looks it up, and adds a row of weights.
 */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x4B41505658564B53LL
#define MOST 65536LL             /* of any count in a pack */
#define MOST_SITES (1LL << 31)   /* rows are int32 */
#define MOST_SAMPLES (1LL << 20)
#define FARTHEST (1LL << 24)     /* of strides, kernels and offsets */

enum { INPUT = 0, MEMBRANE = 1, SPIKES = 2 };

static const char *current_file = "";

static void die(const char *message, const char *detail) {
    fprintf(stderr, "player: %s: %s%s%s\n", current_file, message, detail[0] ? ": " : "", detail);
    exit(1);
}

static void need(int condition, const char *message, const char *detail) {
    if (!condition) die(message, detail);
}

static void *allocate(int64_t count, size_t size) {
    void *memory;
    if (count < 0 || (uint64_t)count > SIZE_MAX / (size ? size : 1)) die("impossible size", "");
    memory = calloc(count ? (size_t)count : 1, size ? size : 1);
    if (!memory) die("out of memory", "");
    return memory;
}

/* ---- bytes ---- */

typedef struct {
    unsigned char *data;
    int64_t size;
} Bytes;

static Bytes read_file(const char *path) {
    Bytes bytes = {NULL, 0};
    int64_t room = 1 << 16;
    FILE *file = fopen(path, "rb");
    current_file = path;
    if (!file) die("cannot be opened", "");
    bytes.data = allocate(room, 1);
    for (;;) {
        size_t got = fread(bytes.data + bytes.size, 1, (size_t)(room - bytes.size), file);
        bytes.size += (int64_t)got;
        if (bytes.size < room) break;
        if (room > INT64_MAX / 4) die("too large", "");
        room *= 2;
        bytes.data = realloc(bytes.data, (size_t)room);
        if (!bytes.data) die("out of memory", "");
    }
    if (ferror(file)) die("cannot be read", "");
    fclose(file);
    return bytes;
}

static uint64_t little(const unsigned char *at, int size) {
    uint64_t value = 0;
    int i;
    for (i = size - 1; i >= 0; i--) value = value << 8 | at[i];
    return value;
}

/* Two's complement of so many bytes, without leaning on how this machine converts. */
static int64_t signed_little(const unsigned char *at, int size) {
    uint64_t value = little(at, size), half = (uint64_t)1 << (8 * size - 1);
    if (value < half) return (int64_t)value;
    if (size == 8) return -(int64_t)(~value) - 1;
    return (int64_t)value - (int64_t)(half << 1);
}

static uint32_t crc32_of(const unsigned char *data, int64_t size) {
    static uint32_t table[256];
    uint32_t crc = 0xFFFFFFFFu;
    int64_t i;
    if (!table[1]) {
        uint32_t n;
        for (n = 0; n < 256; n++) {
            uint32_t c = n;
            int bit;
            for (bit = 0; bit < 8; bit++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
            table[n] = c;
        }
    }
    for (i = 0; i < size; i++) crc = table[(crc ^ data[i]) & 255] ^ crc >> 8;
    return crc ^ 0xFFFFFFFFu;
}

static void put(FILE *file, uint64_t value) {
    unsigned char bytes[8];
    int i;
    for (i = 0; i < 8; i++) bytes[i] = (unsigned char)(value >> 8 * i);
    need(fwrite(bytes, 1, 8, file) == 8, "the output cannot be written", "");
}

/* ---- arrays of the archive ---- */

typedef struct {
    const unsigned char *data;
    int64_t shape[3];
    int64_t count;
    int dimensions, size;
} Array;

/* Data of a stored member, its checksum verified. */
static const unsigned char *member(const Bytes *file, const char *name, int64_t *size) {
    const unsigned char *d = file->data;
    int64_t end = file->size - 22, at, i, entries;
    size_t length = strlen(name);
    while (end >= 0 && end > file->size - 22 - 65536 && little(d + end, 4) != 0x06054B50u) end--;
    need(end >= 0 && little(d + end, 4) == 0x06054B50u, "no whole archive", "");
    entries = (int64_t)little(d + end + 10, 2);
    at = (int64_t)little(d + end + 16, 4);
    for (i = 0; i < entries; i++) {
        int64_t name_size, extra, comment, local, begin;
        need(at <= end - 46 && little(d + at, 4) == 0x02014B50u, "its directory is damaged", "");
        name_size = (int64_t)little(d + at + 28, 2);
        extra = (int64_t)little(d + at + 30, 2);
        comment = (int64_t)little(d + at + 32, 2);
        need(at + 46 + name_size <= end, "its directory is damaged", "");
        if (name_size == (int64_t)length && memcmp(d + at + 46, name, length) == 0) {
            need(little(d + at + 10, 2) == 0, "a member is compressed", name);
            *size = (int64_t)little(d + at + 24, 4);
            need(little(d + at + 20, 4) == (uint64_t)*size && *size != 0xFFFFFFFFLL, "a member's size", name);
            local = (int64_t)little(d + at + 42, 4);
            need(local <= file->size - 30 && little(d + local, 4) == 0x04034B50u, "a member's place", name);
            begin = local + 30 + (int64_t)little(d + local + 26, 2) + (int64_t)little(d + local + 28, 2);
            need(begin <= file->size && *size <= file->size - begin, "a member is cut off", name);
            need(crc32_of(d + begin, *size) == little(d + at + 16, 4), "a member is damaged", name);
            return d + begin;
        }
        at += 46 + name_size + extra + comment;
    }
    die("a member is missing", name);
    return NULL;
}

/* A member in numpy's format 1.0, of so many dimensions and such numbers. */
static Array array(const Bytes *file, const char *name, const char *type, int dimensions) {
    Array result = {NULL, {1, 1, 1}, 1, 0, 0};
    char header[256], full[96], wanted[32];
    const char *text;
    int64_t size = 0, length;
    const unsigned char *data;
    need(snprintf(full, sizeof full, "%s.npy", name) < (int)sizeof full, "a name is too long", name);
    data = member(file, full, &size);
    need(size >= 10 && memcmp(data, "\x93NUMPY\x01\x00", 8) == 0, "no array of numpy's format 1.0", name);
    length = (int64_t)little(data + 8, 2);
    need(length < (int64_t)sizeof header && 10 + length <= size, "an array's header", name);
    memcpy(header, data + 10, (size_t)length);
    header[length] = 0;
    need(snprintf(wanted, sizeof wanted, "'descr': '%s'", type) < (int)sizeof wanted, "a type", name);
    need(strstr(header, wanted) != NULL, "an array of another type", name);
    need(strstr(header, "'fortran_order': False") != NULL, "an array in another order", name);
    text = strstr(header, "'shape': (");
    need(text != NULL, "an array's shape", name);
    for (text += 10; *text && *text != ')';) {
        char *after;
        long long number = strtoll(text, &after, 10);
        need(after != text && number >= 0 && number < (1LL << 40) && result.dimensions < 3, "an array's shape", name);
        result.shape[result.dimensions++] = number;
        need(number == 0 || result.count <= (1LL << 40) / number, "an array's shape", name);
        result.count *= number;
        for (text = after; *text == ',' || *text == ' ';) text++;
    }
    need(result.dimensions == dimensions, "an array of other dimensions", name);
    result.size = type[2] - '0';
    result.data = data + 10 + length;
    need(result.count <= (size - 10 - length) / result.size && result.count * result.size == size - 10 - length,
         "an array's length", name);
    return result;
}

static Array numbered(const Bytes *file, const char *part, int64_t i, int64_t j, const char *type, int dimensions) {
    char name[64];
    if (j < 0) {
        snprintf(name, sizeof name, "%s/%lld", part, (long long)i);
    } else {
        snprintf(name, sizeof name, "%s/%lld/%lld", part, (long long)i, (long long)j);
    }
    return array(file, name, type, dimensions);
}

static int64_t number(const Array *a, int64_t index) { return signed_little(a->data + index * a->size, a->size); }

/* ---- sites ---- */

typedef struct {
    int32_t at[4];
} Site;

typedef struct {
    Site *sites;
    int64_t count, slots;
    int32_t *slot; /* rows by hash of their site, -1 where none is */
} SiteSet;

static int compare_sites(const void *left, const void *right) {
    const Site *a = left, *b = right;
    int i;
    for (i = 0; i < 4; i++) {
        if (a->at[i] != b->at[i]) return a->at[i] < b->at[i] ? -1 : 1;
    }
    return 0;
}

static int64_t hash_of(const Site *site, int64_t slots) {
    uint64_t hash = 1469598103934665603ULL;
    int i;
    for (i = 0; i < 4; i++) hash = (hash ^ (uint32_t)site->at[i]) * 1099511628211ULL;
    hash ^= hash >> 29;
    return (int64_t)(hash & (uint64_t)(slots - 1));
}

static int64_t row_of(const SiteSet *set, const int64_t at[4]) {
    Site site;
    int64_t slot;
    int i;
    for (i = 0; i < 4; i++) {
        if (at[i] < INT32_MIN || at[i] > INT32_MAX) return -1;
        site.at[i] = (int32_t)at[i];
    }
    for (slot = hash_of(&site, set->slots); set->slot[slot] >= 0; slot = (slot + 1) & (set->slots - 1)) {
        if (compare_sites(&set->sites[set->slot[slot]], &site) == 0) return set->slot[slot];
    }
    return -1;
}

/* Sorts sites, leaves each once, and makes them findable. */
static void finish(SiteSet *set) {
    int64_t i, kept = 0;
    need(set->count < MOST_SITES, "too many sites", "");
    if (set->count) qsort(set->sites, (size_t)set->count, sizeof(Site), compare_sites);
    for (i = 0; i < set->count; i++) {
        if (!kept || compare_sites(&set->sites[kept - 1], &set->sites[i]) != 0) set->sites[kept++] = set->sites[i];
    }
    set->count = kept;
    for (set->slots = 2; set->slots < 2 * kept;) set->slots *= 2;
    set->slot = allocate(set->slots, sizeof(int32_t));
    for (i = 0; i < set->slots; i++) set->slot[i] = -1;
    for (i = 0; i < kept; i++) {
        int64_t slot = hash_of(&set->sites[i], set->slots);
        while (set->slot[slot] >= 0) slot = (slot + 1) & (set->slots - 1);
        set->slot[slot] = (int32_t)i;
    }
}

static int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

/* ---- the pack ---- */

typedef struct {
    int64_t kind, sites, channels, levels;
    Array thresholds;
} Table;

typedef struct {
    int64_t sites, channels, map, transposed, source_count, residual_count, result_count;
    int64_t *sources, *residuals, *results;
    Array *weight;
    Array multiplier, shift, bias;
} Layer;

typedef struct {
    int64_t channels, site_count, map_count, table_count, layer_count, output_count;
    Array sites, maps, outputs;
    Array *unit, *offsets;
    Table *tables;
    Layer *layers;
} Pack;

static int64_t entry(const Array *a, int64_t row, int column) { return number(a, row * a->shape[1] + column); }

static void in_range(int64_t value, int64_t low, int64_t high, const char *what) {
    need(value >= low && value < high, "a number out of its range", what);
}

static int64_t *indices(const Bytes *file, const char *part, int64_t layer, int64_t count, int64_t limit) {
    Array a = numbered(file, part, layer, -1, "<i8", 1);
    int64_t *result = allocate(count, sizeof(int64_t)), i;
    need(a.shape[0] == count, "a list of tables", part);
    for (i = 0; i < count; i++) {
        result[i] = number(&a, i);
        in_range(result[i], 0, limit, part);
    }
    return result;
}

static void check_shape(const Array *a, int64_t rows, int64_t columns, int64_t depth, const char *what) {
    need(a->shape[0] == rows && (a->dimensions < 2 || a->shape[1] == columns) && (a->dimensions < 3 || a->shape[2] == depth),
         "an array of another shape", what);
}

static void read_sites(const Bytes *file, Pack *pack) {
    int64_t i;
    pack->sites = array(file, "sites", "<i8", 2);
    check_shape(&pack->sites, pack->site_count, 20, 0, "sites");
    need(pack->site_count > 0, "no sites", "");
    pack->unit = allocate(pack->site_count, sizeof(Array));
    for (i = 0; i < pack->site_count; i++) {
        int c;
        in_range(entry(&pack->sites, i, 0), i ? 0 : -1, i ? i : 0, "the parent of sites");
        for (c = 2; c < 5; c++) in_range(entry(&pack->sites, i, c), -1, 1LL << 31, "extent");
        for (c = 5; c < 20; c++) {
            in_range(entry(&pack->sites, i, c), c >= 14 && c < 17 ? 0 : 1, FARTHEST + 1, "a kernel of sites");
        }
        pack->unit[i] = numbered(file, "unit", i, -1, "<i4", 1);
        for (c = 0; c < (int)(pack->unit[i].count < MOST ? pack->unit[i].count : MOST); c++) {
            need(number(&pack->unit[i], c) > 0, "a unit that is not positive", "");
        }
    }
    pack->maps = array(file, "maps", "<i8", 2);
    check_shape(&pack->maps, pack->map_count, 3, 0, "maps");
    pack->offsets = allocate(pack->map_count, sizeof(Array));
    for (i = 0; i < pack->map_count; i++) {
        int64_t j;
        in_range(entry(&pack->maps, i, 0), 0, pack->site_count, "the inputs of a map");
        in_range(entry(&pack->maps, i, 1), 0, pack->site_count, "the outputs of a map");
        pack->offsets[i] = numbered(file, "offsets", i, -1, "<i4", 2);
        check_shape(&pack->offsets[i], entry(&pack->maps, i, 2), 3, 0, "offsets");
        for (j = 0; j < pack->offsets[i].count; j++) {
            in_range(number(&pack->offsets[i], j), -FARTHEST, FARTHEST + 1, "an offset");
        }
    }
}

static void read_tables(const Bytes *file, Pack *pack) {
    Array rows = array(file, "tables", "<i8", 2);
    int64_t i;
    check_shape(&rows, pack->table_count, 4, 0, "tables");
    need(pack->table_count > 0, "no tables", "");
    pack->tables = allocate(pack->table_count, sizeof(Table));
    for (i = 0; i < pack->table_count; i++) {
        Table *table = &pack->tables[i];
        table->kind = entry(&rows, i, 0);
        table->sites = entry(&rows, i, 1);
        table->channels = entry(&rows, i, 2);
        table->levels = entry(&rows, i, 3);
        need(i ? table->kind == MEMBRANE || table->kind == SPIKES : table->kind == INPUT, "a kind of table", "");
        in_range(table->sites, 0, pack->site_count, "the sites of a table");
        in_range(table->channels, 0, MOST + 1, "the channels of a table");
        need(i ? table->channels <= pack->unit[table->sites].count : table->sites == 0 && table->channels == pack->channels,
             "the channels of a table", "");
        if (table->kind == SPIKES) {
            in_range(table->levels, 1, 256, "the levels of spikes");
            table->thresholds = numbered(file, "thresholds", i, -1, "<i4", 2);
            check_shape(&table->thresholds, table->levels, table->channels, 0, "thresholds");
        }
    }
}

static void read_layer(const Bytes *file, const Pack *pack, const Array *rows, int64_t i, Layer *layer) {
    int64_t j, volume = 1, from, to;
    layer->sites = entry(rows, i, 0);
    layer->channels = entry(rows, i, 1);
    layer->map = entry(rows, i, 2);
    layer->transposed = entry(rows, i, 3);
    layer->source_count = entry(rows, i, 4);
    layer->residual_count = entry(rows, i, 5);
    layer->result_count = entry(rows, i, 6);
    in_range(layer->sites, 0, pack->site_count, "the sites of a layer");
    in_range(layer->channels, 0, MOST + 1, "the channels of a layer");
    in_range(layer->map, -1, pack->map_count, "the map of a layer");
    in_range(layer->source_count, 0, MOST, "the sources of a layer");
    in_range(layer->residual_count, 0, MOST, "the shortcuts of a layer");
    in_range(layer->result_count, 0, MOST, "the results of a layer");
    from = to = layer->sites;
    if (layer->map >= 0) {
        from = entry(&pack->maps, layer->map, layer->transposed ? 1 : 0);
        to = entry(&pack->maps, layer->map, layer->transposed ? 0 : 1);
        volume = pack->offsets[layer->map].shape[0];
    }
    need(to == layer->sites, "a map that leads elsewhere", "");
    layer->sources = indices(file, "sources", i, layer->source_count, pack->table_count);
    layer->residuals = indices(file, "residuals", i, layer->residual_count, pack->table_count);
    layer->results = indices(file, "results", i, layer->result_count, pack->table_count);
    layer->weight = allocate(layer->source_count, sizeof(Array));
    for (j = 0; j < layer->source_count; j++) {
        const Table *table = &pack->tables[layer->sources[j]];
        layer->weight[j] = numbered(file, "weight", i, j, "|i1", 3);
        check_shape(&layer->weight[j], volume, table->channels, layer->channels, "weight");
        /* So that no sum of int8 times int32 leaves int64. */
        need(volume * table->channels <= FARTHEST && layer->source_count <= 128, "a layer is too large", "");
        need(table->sites == from, "a source on other sites", "");
    }
    for (j = 0; j < layer->residual_count; j++) {
        const Table *table = &pack->tables[layer->residuals[j]];
        need(table->kind != INPUT && table->sites == layer->sites && table->channels == layer->channels, "a shortcut", "");
    }
    for (j = 0; j < layer->result_count; j++) {
        const Table *table = &pack->tables[layer->results[j]];
        need(table->kind != INPUT && table->sites == layer->sites && table->channels == layer->channels, "a result", "");
    }
    layer->multiplier = numbered(file, "multiplier", i, -1, "<i4", 1);
    layer->shift = numbered(file, "shift", i, -1, "<i4", 1);
    layer->bias = numbered(file, "bias", i, -1, "<i8", 1);
    check_shape(&layer->multiplier, layer->channels, 0, 0, "multiplier");
    check_shape(&layer->shift, layer->channels, 0, 0, "shift");
    check_shape(&layer->bias, layer->channels, 0, 0, "bias");
    for (j = 0; j < layer->channels; j++) {
        in_range(number(&layer->multiplier, j), 0, 1LL << 31, "a multiplier");
        in_range(number(&layer->shift, j), 1, 63, "a shift");
    }
}

static Pack read_pack(const Bytes *file) {
    Pack pack;
    Array header = array(file, "header", "<i8", 1), rows;
    int64_t i;
    memset(&pack, 0, sizeof pack);
    check_shape(&header, 8, 0, 0, "header");
    need(number(&header, 0) == MAGIC, "not a weight pack", "");
    need(number(&header, 1) == 1, "a weight pack of another version than 1", "");
    for (i = 2; i < 8; i++) in_range(number(&header, i), 0, MOST + 1, "a number of the header");
    pack.channels = number(&header, 2);
    pack.site_count = number(&header, 3);
    pack.map_count = number(&header, 4);
    pack.table_count = number(&header, 5);
    pack.layer_count = number(&header, 6);
    pack.output_count = number(&header, 7);
    read_sites(file, &pack);
    read_tables(file, &pack);
    rows = array(file, "layers", "<i8", 2);
    check_shape(&rows, pack.layer_count, 7, 0, "layers");
    pack.layers = allocate(pack.layer_count, sizeof(Layer));
    for (i = 0; i < pack.layer_count; i++) read_layer(file, &pack, &rows, i, &pack.layers[i]);
    pack.outputs = array(file, "outputs", "<i8", 2);
    check_shape(&pack.outputs, pack.output_count, 2, 0, "outputs");
    for (i = 0; i < pack.output_count; i++) {
        in_range(entry(&pack.outputs, i, 0), 0, pack.table_count, "the table of an output");
        in_range(entry(&pack.outputs, i, 1), 0, 3, "the pool of an output");
    }
    return pack;
}

/* ---- one input ---- */

typedef struct {
    SiteSet *sets;
    int32_t **tables; /* NULL until written */
    int64_t samples;
} Run;

static void read_events(const Bytes *file, const Pack *pack, Run *run) {
    const unsigned char *d = file->data;
    int64_t at = 24, i, j, sets, streams, found = 0;
    need(file->size >= 28 && memcmp(d, "SPVXEVTS", 8) == 0, "not an event list", "");
    need(little(d + 8, 4) == 1, "an event list of another version than 1", "");
    need(crc32_of(d, file->size - 4) == little(d + file->size - 4, 4), "the file is damaged", "");
    run->samples = (int64_t)little(d + 12, 4);
    in_range(run->samples, 0, MOST_SAMPLES + 1, "the number of samples");
    sets = (int64_t)little(d + 16, 4);
    streams = (int64_t)little(d + 20, 4);
    need(sets > 0, "no sites", "");
    for (i = 0; i < sets; i++) {
        SiteSet *set = &run->sets[0];
        int64_t count;
        need(at <= file->size - 20, "cut off", "");
        count = (int64_t)little(d + at + 12, 4);
        need(count <= (file->size - 4 - at - 16) / 16, "cut off", "");
        for (j = 0; i == 0 && j < 3; j++) {
            need((int64_t)little(d + at + 4 * j, 4) == entry(&pack->sites, 0, 5 + (int)j), "another tensor stride", "");
        }
        at += 16;
        if (i == 0) {
            set->count = count;
            set->sites = allocate(count, sizeof(Site));
            for (j = 0; j < 4 * count; j++) set->sites[j / 4].at[j % 4] = (int32_t)signed_little(d + at + 4 * j, 4);
            for (j = 0; j < count; j++) in_range(set->sites[j].at[0], 0, run->samples, "a sample");
            finish(set);
            need(set->count == count, "sites that are there twice", "");
        }
        at += 16 * count;
    }
    for (i = 0; i < streams; i++) {
        int64_t count;
        need(at <= file->size - 24, "cut off", "");
        count = (int64_t)little(d + at + 16, 4);
        need(count <= (file->size - 4 - at - 20) / 8, "cut off", "");
        if (little(d + at, 4) == 0) {
            need(!found && little(d + at + 4, 4) == 0 && (int64_t)little(d + at + 8, 4) == pack->channels,
                 "an input of other channels", "");
            found = 1;
            run->tables[0] = allocate(run->sets[0].count * pack->channels, sizeof(int32_t));
            for (j = 0; j < count; j++) {
                const unsigned char *event = d + at + 20 + 8 * j;
                int64_t row = (int64_t)little(event, 4), channel = (int64_t)little(event + 4, 2);
                in_range(row, 0, run->sets[0].count, "the row of an event");
                in_range(channel, 0, pack->channels, "the channel of an event");
                run->tables[0][row * pack->channels + channel] = (int32_t)signed_little(event + 6, 2);
            }
        }
        at += 20 + 8 * count;
    }
    need(found && at == file->size - 4, "no input, or more than an event list", "");
}

/* Sites along one axis that a site leads to; their number. */
static int64_t candidates(const Array *rules, int64_t index, int axis, int64_t step, int64_t j, int64_t *place) {
    int64_t kernel = entry(rules, index, 8 + axis), stride = entry(rules, index, 11 + axis);
    int64_t padding = entry(rules, index, 14 + axis), dilation = entry(rules, index, 17 + axis);
    int64_t extent = entry(rules, index, 2 + axis), moved = step;
    if (!entry(rules, index, 1)) {
        moved = step + padding - j * dilation;
        if (moved - floor_divide(moved, stride) * stride != 0) return 0;
    }
    *place = floor_divide(moved, stride);
    if (entry(rules, index, 2) >= 0) {
        int64_t room = extent + 2 * padding - dilation * (kernel - 1) - 1;
        int64_t count = room < 0 ? floor_divide(room, stride) + 1 : room / stride + 1;
        if (*place < 0 || *place >= (count > 0 ? count : 0)) return 0;
    }
    return 1;
}

static void derive(const Pack *pack, Run *run, int64_t index) {
    const SiteSet *parent = &run->sets[entry(&pack->sites, index, 0)];
    SiteSet *set = &run->sets[index];
    int64_t kernel[3], room = parent->count + 1, i, x, y, z;
    int axis;
    for (axis = 0; axis < 3; axis++) kernel[axis] = entry(&pack->sites, index, 1) ? 1 : entry(&pack->sites, index, 8 + axis);
    need(kernel[0] * kernel[1] <= FARTHEST && kernel[0] * kernel[1] * kernel[2] <= FARTHEST, "a kernel is too large", "");
    set->sites = allocate(room, sizeof(Site));
    for (i = 0; i < parent->count; i++) {
        int64_t step[3], place[3];
        for (axis = 0; axis < 3; axis++) {
            int64_t stride = entry(&pack->sites, entry(&pack->sites, index, 0), 5 + axis);
            step[axis] = floor_divide(parent->sites[i].at[1 + axis], stride);
        }
        for (x = 0; x < kernel[0]; x++) {
            if (!candidates(&pack->sites, index, 0, step[0], x, &place[0])) continue;
            for (y = 0; y < kernel[1]; y++) {
                if (!candidates(&pack->sites, index, 1, step[1], y, &place[1])) continue;
                for (z = 0; z < kernel[2]; z++) {
                    if (!candidates(&pack->sites, index, 2, step[2], z, &place[2])) continue;
                    if (set->count == room) {
                        need(room < MOST_SITES, "too many sites", "");
                        room *= 2;
                        set->sites = realloc(set->sites, (size_t)room * sizeof(Site));
                        need(set->sites != NULL, "out of memory", "");
                    }
                    set->sites[set->count].at[0] = parent->sites[i].at[0];
                    for (axis = 0; axis < 3; axis++) {
                        int64_t value = place[axis] * entry(&pack->sites, index, 5 + axis);
                        in_range(value, INT32_MIN, (int64_t)INT32_MAX + 1, "a coordinate");
                        set->sites[set->count].at[1 + axis] = (int32_t)value;
                    }
                    set->count++;
                }
            }
        }
    }
    finish(set);
}

static const int32_t *written(const Run *run, int64_t table) {
    need(run->tables[table] != NULL, "a table is read before it is written", "");
    return run->tables[table];
}

/* Adds what a source sends to its targets. */
static void take(const Pack *pack, const Run *run, const Layer *layer, int64_t source, int64_t *sums) {
    const Table *table = &pack->tables[layer->sources[source]];
    const Array *weight = &layer->weight[source];
    const int32_t *values = written(run, layer->sources[source]);
    const SiteSet *from = &run->sets[table->sites], *to = &run->sets[layer->sites];
    int64_t i, k, c, o, n;
    for (i = 0; i < from->count; i++) {
        for (k = 0; k < weight->shape[0]; k++) {
            int64_t row = i;
            if (layer->map >= 0) {
                int64_t at[4];
                int axis;
                at[0] = from->sites[i].at[0];
                for (axis = 0; axis < 3; axis++) {
                    int64_t offset = entry(&pack->offsets[layer->map], k, axis);
                    at[1 + axis] = from->sites[i].at[1 + axis] + (layer->transposed ? offset : -offset);
                }
                row = row_of(to, at);
            }
            if (row < 0) continue;
            for (c = 0; c < table->channels; c++) {
                int32_t value = values[i * table->channels + c];
                const unsigned char *w = weight->data + (k * table->channels + c) * layer->channels;
                int64_t *sum = sums + row * layer->channels;
                if (table->kind == SPIKES) {
                    for (n = 0; n < value; n++) {
                        for (o = 0; o < layer->channels; o++) sum[o] += (w[o] ^ 128) - 128;
                    }
                } else if (value) {
                    for (o = 0; o < layer->channels; o++) sum[o] += (int64_t)value * ((w[o] ^ 128) - 128);
                }
            }
        }
    }
}

/* (sum * multiplier + bias) >> shift, rounded down also below zero. */
static int64_t branch(int64_t sum, int64_t multiplier, int64_t bias, int64_t shift) {
    int64_t product;
    if (multiplier && (sum > INT64_MAX / 2 / multiplier || sum < -(INT64_MAX / 2 / multiplier))) die("a sum overflows", "");
    product = sum * multiplier;
    need(bias <= INT64_MAX / 2 && bias >= -(INT64_MAX / 2), "a bias overflows", "");
    product += bias;
    return product >= 0 ? product >> shift : -((-(product + 1)) >> shift) - 1;
}

static void run_layer(const Pack *pack, Run *run, const Layer *layer) {
    int64_t rows = run->sets[layer->sites].count, channels = layer->channels, count, i, j;
    int64_t *sums;
    need(channels == 0 || rows <= INT64_MAX / 8 / channels, "a table is too large", "");
    count = rows * channels;
    sums = allocate(count, sizeof(int64_t));
    for (j = 0; j < layer->source_count; j++) take(pack, run, layer, j, sums);
    for (i = 0; i < count; i++) {
        int64_t c = i % channels;
        if (layer->source_count) {
            sums[i] = branch(sums[i], number(&layer->multiplier, c), number(&layer->bias, c), number(&layer->shift, c));
        }
        need(sums[i] >= INT32_MIN && sums[i] <= INT32_MAX, "a branch overflows", "");
        for (j = 0; j < layer->residual_count; j++) {
            int64_t table = layer->residuals[j], value = written(run, table)[i];
            sums[i] += pack->tables[table].kind == SPIKES ? value * number(&pack->unit[layer->sites], c) : value;
        }
        need(sums[i] >= INT32_MIN && sums[i] <= INT32_MAX, "a membrane overflows", "");
    }
    for (j = 0; j < layer->result_count; j++) {
        const Table *table = &pack->tables[layer->results[j]];
        int32_t *values = allocate(count, sizeof(int32_t));
        need(run->tables[layer->results[j]] == NULL, "a table is written twice", "");
        run->tables[layer->results[j]] = values;
        for (i = 0; i < count; i++) {
            int64_t s;
            values[i] = table->kind == MEMBRANE ? (int32_t)sums[i] : 0;
            for (s = 0; table->kind == SPIKES && s < table->levels; s++) {
                values[i] += sums[i] >= number(&table->thresholds, s * channels + i % channels);
            }
        }
    }
    free(sums);
}

static void put_double(FILE *file, double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    put(file, bits);
}

static void write_output(const Pack *pack, const Run *run, int64_t index, FILE *file) {
    const Table *table = &pack->tables[entry(&pack->outputs, index, 0)];
    const int32_t *values = written(run, entry(&pack->outputs, index, 0));
    const SiteSet *set = &run->sets[table->sites];
    int64_t pool = entry(&pack->outputs, index, 1), rows = pool ? run->samples : set->count, i, c;
    int64_t *sums = allocate(rows * table->channels, sizeof(int64_t)), *sizes = allocate(rows, sizeof(int64_t));
    for (i = 0; i < set->count; i++) {
        int64_t row = pool ? set->sites[i].at[0] : i;
        sizes[row]++;
        for (c = 0; c < table->channels; c++) sums[row * table->channels + c] += values[i * table->channels + c];
    }
    put(file, (uint64_t)rows);
    put(file, (uint64_t)table->channels);
    for (i = 0; i < rows; i++) {
        for (c = 0; c < table->channels; c++) {
            int64_t divisor = table->kind == MEMBRANE ? number(&pack->unit[table->sites], c) : 1;
            if (pool == 1 && sizes[i]) divisor *= sizes[i];
            put_double(file, (double)sums[i * table->channels + c] / (double)divisor);
        }
    }
    free(sums);
    free(sizes);
}

static void forget(Pack *pack) {
    int64_t i;
    for (i = 0; i < pack->layer_count; i++) {
        free(pack->layers[i].sources);
        free(pack->layers[i].residuals);
        free(pack->layers[i].results);
        free(pack->layers[i].weight);
    }
    free(pack->layers);
    free(pack->tables);
    free(pack->unit);
    free(pack->offsets);
}

int main(int count, char **words) {
    Bytes file;
    Pack pack;
    FILE *out;
    int word;
    int64_t i;
    if (count < 4) {
        fprintf(stderr, "usage: %s PACK.npz OUT EVENTS...\n", count ? words[0] : "player");
        return 2;
    }
    file = read_file(words[1]);
    pack = read_pack(&file);
    out = fopen(words[2], "wb");
    if (!out) {
        current_file = words[2];
        die("cannot be written", "");
    }
    for (word = 3; word < count; word++) {
        Bytes events = read_file(words[word]);
        Run run;
        run.sets = allocate(pack.site_count, sizeof(SiteSet));
        run.tables = allocate(pack.table_count, sizeof(int32_t *));
        read_events(&events, &pack, &run);
        for (i = 1; i < pack.site_count; i++) derive(&pack, &run, i);
        for (i = 0; i < pack.layer_count; i++) run_layer(&pack, &run, &pack.layers[i]);
        for (i = 0; i < pack.output_count; i++) write_output(&pack, &run, i, out);
        for (i = 0; i < pack.site_count; i++) {
            free(run.sets[i].sites);
            free(run.sets[i].slot);
        }
        for (i = 0; i < pack.table_count; i++) free(run.tables[i]);
        free(run.sets);
        free(run.tables);
        free(events.data);
    }
    forget(&pack);
    free(file.data);
    if (fclose(out) != 0) die("the output cannot be written", "");
    return 0;
}
