// SPDX-License-Identifier: MIT
// C++17 across a shared library: exceptions, dynamic_cast, statics. Built twice from this file.
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};
struct Square : Shape {
    explicit Square(double s) : side(s)
    {
    }
    double area() const override;
    double side;
};
class LibraryError : public std::runtime_error
{
  public:
    using std::runtime_error::runtime_error;
    ~LibraryError() override;
};
std::unique_ptr<Shape> make_square(double side);
void call_back(void (*f)(int), int n);

#ifdef DYNCXX_LIBRARY

double Square::area() const
{
    return side * side;
}
LibraryError::~LibraryError() = default;

std::unique_ptr<Shape> make_square(double side)
{
    if (side < 0)
        throw LibraryError("negative side " + std::to_string(side));
    return std::make_unique<Square>(side);
}

void call_back(void (*f)(int), int n)
{
    try {
        f(n);
    } catch (const std::logic_error &e) {
        std::cout << "library caught " << e.what() << '\n';
        throw;
    }
}

#else

int main()
{
    std::cout << make_square(3)->area() << '\n';
    auto shape = make_square(2);
    std::cout << (dynamic_cast<Square *>(shape.get()) != nullptr) << '\n';
    try {
        make_square(-1);
    } catch (const LibraryError &e) {
        std::cout << "caught " << e.what() << '\n';
    }
    try {
        call_back([](int n) { throw std::out_of_range("number " + std::to_string(n)); }, 5);
    } catch (const std::exception &e) {
        std::cout << "main caught " << e.what() << '\n';
    }
    std::vector<std::thread> threads;
    int caught[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4; i++)
        threads.emplace_back([i, &caught] {
            for (int k = 0; k < 50; k++) {
                try {
                    make_square(-k - 1.0);
                } catch (const LibraryError &) {
                    caught[i]++;
                }
            }
        });
    for (auto &t : threads)
        t.join();
    std::cout << caught[0] + caught[1] + caught[2] + caught[3] << std::endl;
}

#endif
