/* SPDX-License-Identifier: MIT */
/* The C++ run time: exceptions, streams, threads, thread-local objects. */
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <queue>
#include <shared_mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace
{

struct Base {
    virtual ~Base() = default;
};
struct Derived : Base {
};

std::atomic<int> unwound;
std::atomic<int> tls_alive;

struct Unwind {
    ~Unwind()
    {
        unwound++;
    }
};

struct PerThread {
    PerThread()
    {
        tls_alive++;
    }
    ~PerThread()
    {
        tls_alive--;
    }
    int value = 5;
};
thread_local PerThread per_thread;

__attribute__((noinline)) int throw_at(int depth)
{
    Unwind u;
    if (depth == 0) {
        throw std::out_of_range("depth 0");
    }
    return throw_at(depth - 1) + 1;
}

void exceptions()
{
    check_section("exceptions");
    try {
        throw_at(50);
        CHECK(false);
    } catch (const std::logic_error &e) {
        CHECK(std::string(e.what()) == "depth 0");
    }
    CHECK(unwound == 51);
    try {
        try {
            throw 1;
        } catch (int) {
            throw;
        }
    } catch (int i) {
        CHECK(i == 1);
    }
    try {
        std::vector<int>(3).at(3) = 1;
        CHECK(false);
    } catch (const std::exception &) {
    }
    Base *base = new Derived;
    CHECK(dynamic_cast<Derived *>(base) != nullptr);
    delete base;
    Base plain, *p = &plain;
    try {
        (void)dynamic_cast<Derived &>(*p);
        CHECK(false);
    } catch (const std::bad_cast &) {
    }
    std::exception_ptr carried;
    std::thread([&] {
        try {
            throw std::runtime_error("from a thread");
        } catch (...) {
            carried = std::current_exception();
        }
    }).join();
    try {
        std::rethrow_exception(carried);
    } catch (const std::runtime_error &e) {
        CHECK(std::string(e.what()) == "from a thread");
    }
}

void streams()
{
    check_section("streams");
    std::ostringstream out;
    out << 3.5 << ' ' << std::hex << 255 << ' ' << std::string("text");
    CHECK(out.str() == "3.5 ff text");
    std::istringstream in("1 2 3");
    int sum = 0;
    for (int i; in >> i;) {
        sum += i;
    }
    CHECK(sum == 6);
    std::cout << "cout " << 42 << ' ' << 2.25 << std::endl;
}

void threads()
{
    check_section("threads");
    std::vector<std::thread> all;
    std::mutex lock;
    long sum = 0;
    for (int i = 0; i < 8; i++) {
        all.emplace_back([&, i] {
            for (int k = 0; k < 1000; k++) {
                std::lock_guard<std::mutex> guard(lock);
                sum += i;
            }
        });
    }
    for (auto &t : all) {
        t.join();
    }
    CHECK(sum == 28000);

    std::queue<int> items;
    std::condition_variable more;
    long taken = 0;
    std::thread consumer([&] {
        for (int got = 0; got < 500; got++) {
            std::unique_lock<std::mutex> guard(lock);
            more.wait(guard, [&] { return !items.empty(); });
            taken += items.front();
            items.pop();
        }
    });
    for (int i = 0; i < 500; i++) {
        std::lock_guard<std::mutex> guard(lock);
        items.push(i);
        more.notify_one();
    }
    consumer.join();
    CHECK(taken == 124750);

    std::unique_lock<std::mutex> guard(lock);
    auto begin = std::chrono::steady_clock::now();
    CHECK(more.wait_for(guard, std::chrono::milliseconds(20)) == std::cv_status::timeout);
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(20));
    guard.unlock();

    auto future = std::async(std::launch::async, [] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return 99;
    });
    CHECK(future.get() == 99);
    std::shared_mutex shared;
    {
        std::shared_lock<std::shared_mutex> a(shared), b(shared);
        CHECK(!shared.try_lock());
    }
    CHECK(shared.try_lock());
    shared.unlock();
    CHECK(std::thread::hardware_concurrency() >= 1);
}

void thread_locals()
{
    check_section("thread_local");
    CHECK(per_thread.value == 5 && tls_alive == 1);
    std::thread([] {
        CHECK(per_thread.value == 5 && tls_alive == 2);
        per_thread.value = 6;
    }).join();
    CHECK(per_thread.value == 5 && tls_alive == 1);
}

void containers()
{
    check_section("containers");
    std::vector<int> v(100000);
    std::iota(v.begin(), v.end(), 0);
    std::reverse(v.begin(), v.end());
    std::sort(v.begin(), v.end());
    CHECK(std::is_sorted(v.begin(), v.end()));
    std::map<std::string, std::unique_ptr<int>> m;
    for (int i = 0; i < 1000; i++) {
        m[std::to_string(i)] = std::make_unique<int>(i);
    }
    CHECK(m.size() == 1000 && *m["777"] == 777);
    try {
        std::vector<char> huge(std::size_t(1) << 62);
        CHECK(false);
    } catch (const std::bad_alloc &) {
    } catch (const std::length_error &) {
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc > 1 && std::string(argv[1]) == "terminate") {
        throw std::runtime_error("nobody catches this");
    }
    std::ios::sync_with_stdio(true);
    exceptions();
    streams();
    threads();
    thread_locals();
    containers();
    return check_end();
}
