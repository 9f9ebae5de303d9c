// What is known of one stream, and the golden beats of all of them as they come in.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

using Clock = std::chrono::steady_clock;

struct Stream {
    const char* name;
    uint8_t *payload, *valid, *ready;
    const uint8_t* last;  // tlast of an output, null elsewhere
    size_t bytes;         // a beat
    uint64_t frame;       // beats a frame
    uint64_t count = 0, wrong = 0, told = 0;
    size_t chunk = 0, at = 0;  // the next golden beat: in which chunk, at which byte
    bool held = false;         // valid without ready in the last cycle
    std::vector<uint8_t> before{};

    uint64_t frames() const { return count / frame; }
};

struct Mismatch {
    size_t stream;
    const char* kind;
    uint64_t beat, cycle;
    std::string expected, got;
};

// Golden beats, read from standard input as they are needed and forgotten when all have used them.
class Golden {
    struct Chunk {
        uint32_t frames;
        std::vector<std::vector<uint8_t>> beats;  // of each stream
    };
    std::vector<Stream>& streams_;
    std::deque<std::unique_ptr<Chunk>> chunks_;
    size_t first_chunk_ = 0;  // index of chunks_.front()
    bool ended_ = false;
    uint64_t frames_ = 0;
    double waited_ = 0;

  public:
    bool keep = false;  // everything will be wanted again

    explicit Golden(std::vector<Stream>& streams) : streams_(streams) {}
    bool ended() const { return ended_; }
    uint64_t frames() const { return frames_; }
    double waited() const { return waited_; }  // seconds

    // The beat that the stream carries next; null after the last one.
    const uint8_t* next(size_t index) {
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
            if (!keep) forget();
        }
    }

  private:
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

    void forget() {
        size_t needed = SIZE_MAX;
        for (const Stream& s : streams_) needed = s.chunk < needed ? s.chunk : needed;
        for (; first_chunk_ < needed && !chunks_.empty(); ++first_chunk_) chunks_.pop_front();
    }
};
