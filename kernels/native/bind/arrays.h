// Checks numpy arrays before a pointer is taken from them.
#pragma once
#include <pybind11/numpy.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace twinsae {

inline void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument(message);  // pybind11 raises ValueError
}

template <class T>
struct Array {
  T* data = nullptr;
  std::vector<int64_t> shape;

  void expect(const char* name, const std::vector<int64_t>& expected) const {
    if (data == nullptr || shape == expected) return;
    throw std::invalid_argument(std::string(name) + ": expected shape " + text(expected) +
                                ", got " + text(shape));
  }

  static std::string text(const std::vector<int64_t>& shape) {
    std::string out = "(";
    for (const int64_t size : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(size);
    return out + ")";
  }
};

// Takes a C-contiguous array of T, or of const T where it is only read. The pointer of an empty
// array is not null, because null stands for None.
template <class T>
Array<T> array(const pybind11::object& object, const char* name, size_t dims) {
  using Value = std::remove_const_t<T>;
  const std::string who(name);
  require(pybind11::isinstance<pybind11::array_t<Value>>(object),
          who + ": expected a numpy array of " +
              std::string(pybind11::str(pybind11::dtype::of<Value>())));
  const auto numpy = pybind11::reinterpret_borrow<pybind11::array>(object);
  require(static_cast<size_t>(numpy.ndim()) == dims,
          who + ": expected " + std::to_string(dims) + " dimensions, got " +
              std::to_string(numpy.ndim()));
  require(numpy.flags() & pybind11::array::c_style, who + ": expected a C-contiguous array");
  require(std::is_const_v<T> || numpy.writeable(), who + ": expected a writeable array");
  static Value nothing{};
  Array<T> out;
  out.shape.assign(numpy.shape(), numpy.shape() + numpy.ndim());
  out.data = numpy.size() ? static_cast<T*>(const_cast<void*>(numpy.data())) : &nothing;
  require(reinterpret_cast<uintptr_t>(out.data) % alignof(Value) == 0,
          who + ": expected aligned memory");
  return out;
}

template <class T>
Array<T> optional_array(const pybind11::object& object, const char* name, size_t dims) {
  return object.is_none() ? Array<T>{} : array<T>(object, name, dims);
}

}  // namespace twinsae
