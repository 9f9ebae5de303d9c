// The verdict, as JSON.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "stream.h"

struct Verdict {
    std::string end = "complete", stopped_at;
    uint64_t frames = 0, cycles = 0, quiet_since = 0, wrong_beats = 0;
    int64_t first_input = -1;
    double seconds = 0;
    std::vector<uint64_t> last_outputs;
    std::vector<Mismatch> mismatches;
};

inline std::string hex(const uint8_t* data, size_t bytes) {
    static const char* digits = "0123456789abcdef";
    std::string text;
    for (size_t i = 0; i < bytes; ++i) {
        text += digits[data[i] >> 4];
        text += digits[data[i] & 15];
    }
    return text;
}

inline std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

inline void write(const Verdict& v, const std::vector<Stream>& streams, const char* path) {
    FILE* f = std::fopen(path, "w");
    if (!f) std::exit(3);
    std::fprintf(f, "{\"end\": \"%s\", \"stopped_at\": %s, \"frames\": %llu, ", v.end.c_str(),
                 quoted(v.stopped_at).c_str(), (unsigned long long)v.frames);
    std::fprintf(f, "\"cycles\": %llu, \"quiet_since\": %llu, ", (unsigned long long)v.cycles,
                 (unsigned long long)v.quiet_since);
    std::fprintf(f, "\"seconds\": %.6f, \"first_input\": %lld, ", v.seconds,
                 (long long)v.first_input);
    std::fprintf(f, "\"wrong_beats\": %llu, \"last_outputs\": [",
                 (unsigned long long)v.wrong_beats);
    for (size_t i = 0; i < v.last_outputs.size(); ++i)
        std::fprintf(f, "%s%llu", i ? ", " : "", (unsigned long long)v.last_outputs[i]);
    std::fprintf(f, "],\n\"streams\": [");
    for (size_t i = 0; i < streams.size(); ++i) {
        const Stream& s = streams[i];
        std::fprintf(f, "%s\n {\"name\": \"%s\", \"beats\": %llu, \"valid\": %d, \"ready\": %d}",
                     i ? "," : "", s.name, (unsigned long long)s.count, *s.valid, *s.ready);
    }
    std::fprintf(f, "],\n\"mismatches\": [");
    for (size_t i = 0; i < v.mismatches.size(); ++i) {
        const Mismatch& m = v.mismatches[i];
        std::fprintf(f,
                     "%s\n {\"stream\": %zu, \"kind\": \"%s\", \"beat\": %llu, "
                     "\"cycle\": %llu, \"expected\": \"%s\", \"got\": \"%s\"}",
                     i ? "," : "", m.stream, m.kind, (unsigned long long)m.beat,
                     (unsigned long long)m.cycle, m.expected.c_str(), m.got.c_str());
    }
    std::fprintf(f, "]}\n");
    if (std::fclose(f)) std::exit(3);
}
