// Drives a Verilated accelerator at full speed and compares every handshake of every stream.
//
// Standard input carries the data, so that nothing need be stored: chunks of
//     u32 frames (0: the end), input beats, golden beats of each probe in turn, golden output beats
// each beat in as many bytes as Verilator gives the signal, little-endian. The generated
// streams.h lists the streams. The verdict goes to a file as JSON, progress to standard error.
//
// One cycle: inputs change while the clock is low, the logic settles, handshakes are looked at,
// the clock rises. Cycle c of the report lies at 10 c ns of a trace, its rising edge 5 ns later.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "Vtop___024root.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

using Clock = std::chrono::steady_clock;

static constexpr uint64_t RESET_CYCLES = 4;    // as an AXI reset would last at least
static constexpr uint64_t DRAIN_CYCLES = 256;  // beats too many follow within a pipeline's length
static constexpr uint64_t GIVE_UP = 1000;      // wrong beats: the rest would say nothing new

struct Chunk {
    uint32_t frames;
    std::vector<std::vector<uint8_t>> beats;  // of each stream
};

struct Stream {
    const char* name;
    const uint8_t *payload, *valid, *ready;
    size_t bytes;     // a beat
    uint64_t frame;   // beats a frame
    uint64_t count = 0, wrong = 0;
    size_t chunk = 0, at = 0;  // the next golden beat: in which chunk, at which byte
    bool held = false;         // valid without ready in the last cycle
    std::vector<uint8_t> last;
};

struct Mismatch {
    size_t stream;
    const char* kind;
    uint64_t beat, cycle;
    std::string expected, got;
};

static bool stopped = false;
static std::string stop_message;

void vl_stop(const char* file, int line, const char* scope) {
    if (!stopped) stop_message = std::string(file) + ":" + std::to_string(line) + " " + scope;
    stopped = true;
}
void vl_finish(const char* file, int line, const char* scope) { vl_stop(file, line, scope); }
void vl_fatal(const char* file, int line, const char*, const char* message) {
    std::fprintf(stderr, "fatal %s:%d: %s\n", file, line, message);
    std::exit(4);
}

// Idle cycles of one side. Phases of up to 255 cycles at no stalls, at the rate, and at twice the
// rate: long droughts and jams fill and empty FIFOs as an even rate never would.
class Stalls {
    uint64_t state_;
    double rate_;
    uint64_t limit_ = 0, left_ = 0;

    uint64_t next() {  // xorshift64*
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return (state_ * 0x2545F4914F6CDD1DULL) >> 32;
    }

  public:
    Stalls(double rate, uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL | 1), rate_(rate) {
        for (int i = 0; i < 8; ++i) next();
    }
    bool idle() {
        if (rate_ <= 0) return false;
        if (!left_--) {
            left_ = next() & 255;
            const double twice = rate_ * 2 < 0.97 ? rate_ * 2 : 0.97;
            const double rates[] = {rate_, twice, rate_, 0};
            limit_ = static_cast<uint64_t>(rates[next() & 3] * 4294967296.0);
        }
        return next() < limit_;
    }
};

static std::string hex(const uint8_t* data, size_t bytes) {
    static const char* digits = "0123456789abcdef";
    std::string text;
    for (size_t i = 0; i < bytes; ++i) {
        text += digits[data[i] >> 4];
        text += digits[data[i] & 15];
    }
    return text;
}

static std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

class Bench {
    VerilatedContext context_;
    Vtop top_{&context_};
    std::vector<Stream> streams_;  // input, probes, output
    std::deque<std::unique_ptr<Chunk>> chunks_;
    size_t first_chunk_ = 0;  // index of chunks_.front()
    bool ended_ = false;
    uint64_t frames_ = 0, cycle_ = 0, started_ = 0, active_ = 0;
    int64_t first_input_ = -1;
    std::vector<uint64_t> last_output_;
    std::vector<Mismatch> mismatches_;
    uint64_t wrong_ = 0, told_ = 0;
    std::string end_ = "complete";
    double waited_ = 0;
    Clock::time_point began_ = Clock::now();
    FILE* outputs_;
#if VM_TRACE
    VerilatedVcdC trace_;
#endif

  public:
    double stall_in = 0, stall_out = 0;
    uint64_t seed = 1, patience = 100000, most = 8, reset_after = 0;
    uint64_t trace_from = 0, trace_to = UINT64_MAX;

    Bench(const char* outputs, [[maybe_unused]] const char* trace) {
        streams_ = {
#include "streams.h"
        };
        for (Stream& s : streams_) s.last.resize(s.bytes);
        outputs_ = std::fopen(outputs, "wb");
        if (!outputs_) std::exit(3);
#if VM_TRACE
        context_.traceEverOn(true);
        top_.trace(&trace_, 99);
        trace_.open(trace);
#endif
    }

    void run() {
        context_.randReset(2);  // what has no initial value starts as noise, not as a lucky zero
        context_.randSeed(static_cast<int>(seed & 0x7FFFFFFF) | 1);
        top_.aclk = 0;
        reset();
        if (reset_after) {
            play(cycle_ + reset_after);
            if (end_ != "complete") return;
            restart();
            reset();
            reset_after = 0;
        }
        play(UINT64_MAX);
    }

    void report(const char* path) {
        std::fclose(outputs_);
        const double seconds =
            std::chrono::duration<double>(Clock::now() - began_).count() - waited_;
#if VM_TRACE
        trace_.close();
#endif
        FILE* f = std::fopen(path, "w");
        if (!f) std::exit(3);
        std::fprintf(f, "{\"end\": \"%s\", \"stopped_at\": %s, \"frames\": %llu, ", end_.c_str(),
                     quoted(stop_message).c_str(), (unsigned long long)frames_);
        std::fprintf(f, "\"cycles\": %llu, \"quiet_since\": %llu, ", (unsigned long long)cycle_,
                     (unsigned long long)active_);
        std::fprintf(f, "\"seconds\": %.6f, \"first_input\": %lld, ", seconds,
                     (long long)first_input_);
        std::fprintf(f, "\"wrong_beats\": %llu, \"last_outputs\": [", (unsigned long long)wrong_);
        for (size_t i = 0; i < last_output_.size(); ++i)
            std::fprintf(f, "%s%llu", i ? ", " : "", (unsigned long long)last_output_[i]);
        std::fprintf(f, "],\n\"streams\": [");
        for (size_t i = 0; i < streams_.size(); ++i) {
            const Stream& s = streams_[i];
            std::fprintf(f, "%s\n {\"name\": \"%s\", \"beats\": %llu, \"valid\": %d, \"ready\": %d}",
                         i ? "," : "", s.name, (unsigned long long)s.count, *s.valid, *s.ready);
        }
        std::fprintf(f, "],\n\"mismatches\": [");
        for (size_t i = 0; i < mismatches_.size(); ++i) {
            const Mismatch& m = mismatches_[i];
            std::fprintf(f,
                         "%s\n {\"stream\": %zu, \"kind\": \"%s\", \"beat\": %llu, "
                         "\"cycle\": %llu, \"expected\": \"%s\", \"got\": \"%s\"}",
                         i ? "," : "", m.stream, m.kind, (unsigned long long)m.beat,
                         (unsigned long long)m.cycle, m.expected.c_str(), m.got.c_str());
        }
        std::fprintf(f, "]}\n");
        if (std::fclose(f)) std::exit(3);
    }

  private:
    Stream& input() { return streams_.front(); }
    Stream& output() { return streams_.back(); }

    void dump([[maybe_unused]] uint64_t time) {
#if VM_TRACE
        if (cycle_ >= trace_from && cycle_ <= trace_to) trace_.dump(time);
#endif
    }
    void settle() {
        top_.eval();
        dump(10 * cycle_);
    }
    void rise() {
        top_.aclk = 1;
        top_.eval();
        dump(10 * cycle_ + 5);
        top_.aclk = 0;
        ++cycle_;
    }

    void reset() {
        top_.aresetn = 0;
        top_.s_axis_tvalid = 0;
        top_.m_axis_tready = 0;
        for (uint64_t i = 0; i < RESET_CYCLES; ++i) {
            settle();
            rise();
        }
        top_.aresetn = 1;
        active_ = cycle_;
        stopped = false;  // what asserts before it was ever reset saw noise
    }

    // Everything from the first frame again; only after a reset in the middle.
    void restart() {
        for (Stream& s : streams_) {
            s.count = s.chunk = s.at = 0;
            s.held = false;
        }
        last_output_.clear();
        told_ = 0;
        first_input_ = -1;
        std::rewind(outputs_);
    }

    void read(void* to, size_t bytes) {
        if (bytes && std::fread(to, 1, bytes, stdin) != bytes) {
            std::fprintf(stderr, "fatal the data ended early\n");
            std::exit(3);
        }
    }

    void load() {
        const auto before = Clock::now();
        auto chunk = std::make_unique<Chunk>();
        read(&chunk->frames, 4);
        ended_ = chunk->frames == 0;
        if (!ended_) {
            for (Stream& s : streams_) {
                chunk->beats.emplace_back(chunk->frames * s.frame * s.bytes);
                read(chunk->beats.back().data(), chunk->beats.back().size());
            }
            frames_ += chunk->frames;
            chunks_.push_back(std::move(chunk));
        }
        waited_ += std::chrono::duration<double>(Clock::now() - before).count();
    }

    // The golden beat that the stream carries next; null after the last one.
    const uint8_t* golden(size_t index) {
        Stream& s = streams_[index];
        while (true) {
            if (s.chunk - first_chunk_ == chunks_.size()) {
                if (ended_) return nullptr;
                load();
                continue;
            }
            const auto& beats = chunks_[s.chunk - first_chunk_]->beats[index];
            if (s.at < beats.size()) return beats.data() + s.at;
            ++s.chunk;
            s.at = 0;
            if (!reset_after) forget();
        }
    }

    void forget() {
        size_t needed = SIZE_MAX;
        for (const Stream& s : streams_) needed = s.chunk < needed ? s.chunk : needed;
        for (; first_chunk_ < needed && !chunks_.empty(); ++first_chunk_) chunks_.pop_front();
    }

    void mismatch(size_t index, const char* kind, const std::string& expected,
                  const std::string& got) {
        Stream& s = streams_[index];
        ++wrong_;
        if (s.wrong++ < most)
            mismatches_.push_back({index, kind, s.count, cycle_, expected, got});
    }

    void check(size_t index) {
        Stream& s = streams_[index];
        if (!*s.valid) {
            if (s.held) mismatch(index, "retracted", hex(s.last.data(), s.bytes), "");
            s.held = false;
            return;
        }
        if (s.held && std::memcmp(s.last.data(), s.payload, s.bytes))
            mismatch(index, "unheld", hex(s.last.data(), s.bytes), hex(s.payload, s.bytes));
        s.held = !*s.ready;
        if (s.held) {
            std::memcpy(s.last.data(), s.payload, s.bytes);
            return;
        }
        const uint8_t* want = golden(index);
        if (!want)
            mismatch(index, "extra", "", hex(s.payload, s.bytes));
        else if (std::memcmp(want, s.payload, s.bytes))
            mismatch(index, "value", hex(want, s.bytes), hex(s.payload, s.bytes));
        if (want) s.at += s.bytes;
        ++s.count;
        active_ = cycle_;
    }

    void check_output() {
        Stream& s = output();
        const uint64_t before = s.count;
        const bool last = (before + 1) % s.frame == 0;
        if (top_.m_axis_tvalid && bool(top_.m_axis_tlast) != last && told_ != before + 1) {
            mismatch(streams_.size() - 1, "tlast", last ? "01" : "00", last ? "00" : "01");
            told_ = before + 1;  // once a beat, in the first cycle that it is wrong
        }
        check(streams_.size() - 1);
        if (s.count == before) return;
        if (last) last_output_.push_back(cycle_);
        std::fwrite(s.payload, 1, s.bytes, outputs_);
    }

    bool finished() {
        if (!ended_) return false;
        for (const Stream& s : streams_)
            if (s.count < frames_ * s.frame) return false;
        return true;
    }

    void progress() {
        std::fprintf(stderr, "progress %llu %llu\n", (unsigned long long)last_output_.size(),
                     (unsigned long long)cycle_);
    }

    void play(uint64_t until) {
        Stalls source(stall_in, 2 * seed + 1), sink(stall_out, 2 * seed + 2);
        auto shown = Clock::now();
        uint64_t drained = 0;
        const uint8_t* beat = nullptr;  // what the source offers
        while (cycle_ < until) {
            if (!beat) {
                beat = golden(0);
                if (beat && source.idle()) beat = nullptr;
                top_.s_axis_tvalid = beat != nullptr;
                if (beat) std::memcpy(&top_.s_axis_tdata, beat, input().bytes);
            }
            top_.m_axis_tready = drained || !sink.idle();
            settle();

            if (beat && top_.s_axis_tready) {
                if (first_input_ < 0) first_input_ = static_cast<int64_t>(cycle_);
                input().at += input().bytes;
                ++input().count;
                active_ = cycle_;
                beat = nullptr;
            }
            for (size_t i = 1; i + 1 < streams_.size(); ++i) check(i);
            check_output();
            rise();

            if (stopped) end_ = "assertion";
            else if (wrong_ >= GIVE_UP) end_ = "gave up";
            else if (cycle_ > trace_to) end_ = "traced";
            else if (finished() && ++drained > DRAIN_CYCLES) end_ = "complete";
            else if (cycle_ - active_ > patience) end_ = "deadlock";
            else {
                if ((cycle_ & 4095) == 0 && Clock::now() - shown > std::chrono::milliseconds(200)) {
                    shown = Clock::now();
                    progress();
                }
                continue;
            }
            progress();
            return;
        }
    }
};

// report outputs stall_in stall_out seed patience reset_after trace_from trace_to trace
int main(int argc, char** argv) {
    if (argc < 11) return 2;
    Bench bench(argv[2], argv[10]);
    bench.stall_in = std::atof(argv[3]);
    bench.stall_out = std::atof(argv[4]);
    bench.seed = std::strtoull(argv[5], nullptr, 10);
    bench.patience = std::strtoull(argv[6], nullptr, 10);
    bench.reset_after = std::strtoull(argv[7], nullptr, 10);
    bench.trace_from = std::strtoull(argv[8], nullptr, 10);
    bench.trace_to = std::strtoull(argv[9], nullptr, 10);
    bench.run();
    bench.report(argv[1]);
    return 0;
}
