// The C interface of networks.
#include <cstring>
#include <memory>

#include "interface.h"
#include "network.h"

using namespace spikevox;

EXPORT int64_t spikevox_session_rows(void* session, int sites) { return static_cast<Session*>(session)->rows(sites); }

EXPORT void spikevox_session_coordinates(void* session, int sites, int32_t* result) {
  const SiteRows& rows = static_cast<Session*>(session)->sites[sites];
  std::memcpy(result, rows.data(), rows.size() * sizeof(int32_t));
}

EXPORT void spikevox_session_free(void* session) { delete static_cast<Session*>(session); }

#define SPIKEVOX_NETWORK(T, SUFFIX)                                                                                     \
  EXPORT int spikevox_network_new_##SUFFIX(void** result) {                                                             \
    return guarded([&] { *result = new Network<T>(); });                                                                \
  }                                                                                                                     \
  EXPORT void spikevox_network_free_##SUFFIX(void* network) { delete static_cast<Network<T>*>(network); }               \
  EXPORT int spikevox_network_sites_##SUFFIX(void* network, int from, const Striding* striding, int* result) {          \
    return guarded([&] { *result = static_cast<Network<T>*>(network)->add_sites(from, *striding); });                   \
  }                                                                                                                     \
  EXPORT int spikevox_network_map_##SUFFIX(void* network, int inputs, int outputs, const Geometry* geometry,            \
                                           int* result) {                                                               \
    return guarded([&] { *result = static_cast<Network<T>*>(network)->add_map(inputs, outputs, *geometry); });          \
  }                                                                                                                     \
  EXPORT int spikevox_network_slot_##SUFFIX(void* network, int sites, int64_t channels, int events, int storage,        \
                                            int* result) {                                                              \
    return guarded(                                                                                                     \
        [&] { *result = static_cast<Network<T>*>(network)->add_slot(sites, channels, events != 0, storage); });         \
  }                                                                                                                     \
  EXPORT int spikevox_network_layer_##SUFFIX(void* network, const LayerSpec* layer, int* result) {                      \
    return guarded([&] { *result = static_cast<Network<T>*>(network)->add_layer(*layer); });                            \
  }                                                                                                                     \
  EXPORT int spikevox_network_output_##SUFFIX(void* network, int slot, int* result) {                                   \
    return guarded([&] { *result = static_cast<Network<T>*>(network)->add_output(slot); });                             \
  }                                                                                                                     \
  EXPORT int spikevox_network_prepare_##SUFFIX(void* network, const int32_t* coordinates, int64_t rows, int64_t batch,  \
                                               int threads, void** session) {                                           \
    return guarded([&] {                                                                                                \
      *session = static_cast<Network<T>*>(network)->prepare(coordinates, rows, batch, threads).release();               \
    });                                                                                                                 \
  }                                                                                                                     \
  EXPORT int spikevox_network_execute_##SUFFIX(int level, void* network, void* session, const T* features,              \
                                               T* const* outputs, int64_t* work, int threads) {                         \
    return guarded([&] {                                                                                                \
      static_cast<Network<T>*>(network)->execute(kernels_of<T>(level), *static_cast<Session*>(session), features,       \
                                                 outputs, work, threads);                                               \
    });                                                                                                                 \
  }

SPIKEVOX_NETWORK(float, f32)
SPIKEVOX_NETWORK(double, f64)
