#pragma once

#include <cstdint>

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
