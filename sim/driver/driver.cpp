// Drives a Verilated accelerator at full speed and compares every handshake of every stream.
//
// Standard input carries the data, so that nothing need be stored: chunks of
//     u32 frames (0: the end), beats of each input, golden beats of each probe and of each output
// each beat in as many bytes as Verilator gives the signal, little-endian. The generated
// streams.h lists the streams. The verdict goes to a file as JSON, progress to standard error.
//
// One cycle: inputs change while the clock is low, the logic settles, handshakes are looked at,
// the clock rises. Cycle c of the report lies at 10 c ns of a trace, its rising edge 5 ns later.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "Vtop.h"
#include "Vtop___024root.h"
#include "stalls.h"
#include "stream.h"
#include "streams.h"  // INPUTS, OUTPUTS, STREAMS
#include "verdict.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

static constexpr uint64_t RESET_CYCLES = 4;    // as an AXI reset would last at least
static constexpr uint64_t DRAIN_CYCLES = 256;  // beats too many follow within a pipeline's length
static constexpr uint64_t GIVE_UP = 1000;      // wrong beats: the rest would say nothing new

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

// The model takes its noise when it is made: whoever asks for it later simulates zeros.
static VerilatedContext* noisy(VerilatedContext& context, uint64_t seed) {
    context.randReset(2);  // what has no initial value starts as noise, not as a lucky zero
    context.randSeed(static_cast<int>(seed & 0x7FFFFFFF) | 1);
    return &context;
}

class Bench {
    VerilatedContext context_;
    Vtop top_;
    std::vector<Stream> streams_{STREAMS};  // inputs, probes, outputs
    Golden golden_{streams_};
    Verdict verdict_;
    const uint64_t seed_;
    uint64_t cycle_ = 0, active_ = 0;
    Clock::time_point began_ = Clock::now();
    std::vector<FILE*> files_;  // of each output
#if VM_TRACE
    VerilatedVcdC trace_;
#endif

  public:
    double stall_in = 0, stall_out = 0;
    uint64_t patience = 100000, most = 8, reset_after = 0;
    uint64_t trace_from = 0, trace_to = UINT64_MAX;

    Bench(uint64_t seed, const char* outputs, [[maybe_unused]] const char* trace)
        : top_{noisy(context_, seed)}, seed_(seed) {
        for (Stream& s : streams_) s.before.resize(s.bytes);
        for (size_t i = 0; i < OUTPUTS; ++i) {
            files_.push_back(std::fopen((outputs + std::to_string(i)).c_str(), "wb"));
            if (!files_.back()) std::exit(3);
        }
#if VM_TRACE
        context_.traceEverOn(true);
        top_.trace(&trace_, 99);
        trace_.open(trace);
#endif
    }

    void run() {
        top_.aclk = 0;
        reset();
        if (reset_after) {
            golden_.keep = true;
            play(cycle_ + reset_after);
            if (verdict_.end != "complete") return;
            restart();
            reset();
            golden_.keep = false;
        }
        play(UINT64_MAX);
    }

    void report(const char* path) {
        for (FILE* file : files_) std::fclose(file);
        const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
#if VM_TRACE
        trace_.close();
#endif
        verdict_.stopped_at = stop_message;
        verdict_.frames = golden_.frames();
        verdict_.cycles = cycle_;
        verdict_.quiet_since = active_;
        verdict_.seconds = seconds - golden_.waited();
        write(verdict_, streams_, path);
    }

  private:
    size_t first_output() const { return streams_.size() - OUTPUTS; }

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
        for (size_t i = 0; i < INPUTS; ++i) *streams_[i].valid = 0;
        for (size_t i = first_output(); i < streams_.size(); ++i) *streams_[i].ready = 0;
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
            s.count = s.chunk = s.at = s.told = 0;
            s.held = false;
        }
        verdict_.last_outputs.clear();
        verdict_.first_input = -1;
        for (FILE* file : files_) std::rewind(file);
    }

    void mismatch(size_t index, const char* kind, const std::string& expected,
                  const std::string& got) {
        Stream& s = streams_[index];
        ++verdict_.wrong_beats;
        if (s.wrong++ < most)
            verdict_.mismatches.push_back({index, kind, s.count, cycle_, expected, got});
    }

    void check(size_t index) {
        Stream& s = streams_[index];
        if (!*s.valid) {
            if (s.held) mismatch(index, "retracted", hex(s.before.data(), s.bytes), "");
            s.held = false;
            return;
        }
        if (s.held && std::memcmp(s.before.data(), s.payload, s.bytes))
            mismatch(index, "unheld", hex(s.before.data(), s.bytes), hex(s.payload, s.bytes));
        s.held = !*s.ready;
        if (s.held) {
            std::memcpy(s.before.data(), s.payload, s.bytes);
            return;
        }
        const uint8_t* want = golden_.next(index);
        if (!want)
            mismatch(index, "extra", "", hex(s.payload, s.bytes));
        else if (std::memcmp(want, s.payload, s.bytes))
            mismatch(index, "value", hex(want, s.bytes), hex(s.payload, s.bytes));
        if (want) s.at += s.bytes;
        ++s.count;
        active_ = cycle_;
    }

    void check_output(size_t index) {
        Stream& s = streams_[index];
        const uint64_t before = s.count;
        const bool last = (before + 1) % s.frame == 0;
        if (*s.valid && bool(*s.last) != last && s.told != before + 1) {
            mismatch(index, "tlast", last ? "01" : "00", last ? "00" : "01");
            s.told = before + 1;  // once a beat, in the first cycle that it is wrong
        }
        check(index);
        if (s.count > before) std::fwrite(s.payload, 1, s.bytes, files_[index - first_output()]);
    }

    void check_outputs() {
        uint64_t whole = UINT64_MAX;  // frames that have left by every output
        for (size_t i = first_output(); i < streams_.size(); ++i) {
            check_output(i);
            whole = std::min(whole, streams_[i].frames());
        }
        if (whole > verdict_.last_outputs.size()) verdict_.last_outputs.push_back(cycle_);
    }

    bool finished() {
        if (!golden_.ended()) return false;
        for (const Stream& s : streams_)
            if (s.count < golden_.frames() * s.frame) return false;
        return true;
    }

    void progress() {
        std::fprintf(stderr, "progress %llu %llu\n",
                     (unsigned long long)verdict_.last_outputs.size(), (unsigned long long)cycle_);
    }

    // What the sources offer; each keeps its beat until it is taken.
    void offer(std::vector<const uint8_t*>& beats, std::vector<Stalls>& sources) {
        for (size_t i = 0; i < INPUTS; ++i) {
            if (beats[i]) continue;
            Stream& s = streams_[i];
            beats[i] = golden_.next(i);
            if (beats[i] && sources[i].idle()) beats[i] = nullptr;
            *s.valid = beats[i] != nullptr;
            if (beats[i]) std::memcpy(s.payload, beats[i], s.bytes);
        }
    }

    void take(std::vector<const uint8_t*>& beats) {
        for (size_t i = 0; i < INPUTS; ++i) {
            Stream& s = streams_[i];
            if (!beats[i] || !*s.ready) continue;
            if (verdict_.first_input < 0) verdict_.first_input = static_cast<int64_t>(cycle_);
            s.at += s.bytes;
            ++s.count;
            active_ = cycle_;
            beats[i] = nullptr;
        }
    }

    void play(uint64_t until) {
        std::vector<Stalls> sources, sinks;
        for (size_t i = 0; i < INPUTS; ++i) sources.emplace_back(stall_in, 2 * seed_ + 1 + 7919 * i);
        for (size_t i = 0; i < OUTPUTS; ++i) sinks.emplace_back(stall_out, 2 * seed_ + 2 + 7919 * i);
        std::vector<const uint8_t*> beats(INPUTS, nullptr);
        auto shown = Clock::now();
        uint64_t drained = 0;
        while (cycle_ < until) {
            offer(beats, sources);
            for (size_t i = 0; i < OUTPUTS; ++i)
                *streams_[first_output() + i].ready = drained || !sinks[i].idle();
            settle();

            take(beats);
            for (size_t i = INPUTS; i < first_output(); ++i) check(i);
            check_outputs();
            rise();

            if (stopped) verdict_.end = "assertion";
            else if (verdict_.wrong_beats >= GIVE_UP) verdict_.end = "gave up";
            else if (cycle_ > trace_to) verdict_.end = "traced";
            else if (finished() && ++drained > DRAIN_CYCLES) verdict_.end = "complete";
            else if (cycle_ - active_ > patience) verdict_.end = "deadlock";
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
    Bench bench(std::strtoull(argv[5], nullptr, 10), argv[2], argv[10]);
    bench.stall_in = std::atof(argv[3]);
    bench.stall_out = std::atof(argv[4]);
    bench.patience = std::strtoull(argv[6], nullptr, 10);
    bench.reset_after = std::strtoull(argv[7], nullptr, 10);
    bench.trace_from = std::strtoull(argv[8], nullptr, 10);
    bench.trace_to = std::strtoull(argv[9], nullptr, 10);
    bench.run();
    bench.report(argv[1]);
    return 0;
}
