# SPDX-License-Identifier: MIT
# The channel server: whole, with threads, and its checks of arguments alone.
set(serve ${LULL_FUZZ_ROOT}/proxy/serve)
set(channel_sources channel_fake.c channel_linux.c
    ${serve}/agent.c ${serve}/aio.c ${serve}/arena.c ${serve}/everyone.c ${serve}/exec.c ${serve}/fanotify.c ${serve}/keys.c ${serve}/mount.c ${serve}/variant.c ${serve}/identity.c ${serve}/call.c ${serve}/cancel.c ${serve}/classify.c ${serve}/control.c ${serve}/credentials.c
    ${serve}/limit.c ${serve}/mapfile.c ${serve}/mapped.c ${serve}/path.c ${serve}/path_proc.c ${serve}/pool.c ${serve}/queue.c ${serve}/server.c ${serve}/signalfd.c ${serve}/sock.c ${serve}/stub_x86_64.S ${serve}/sysv.c
    ${serve}/take.c ${serve}/usage.c ${serve}/vec.c ${serve}/view.c ${serve}/view_io.c ${serve}/view_peer.c ${serve}/view_memory.c ${serve}/view_pagemap.c ${serve}/view_proc.c ${serve}/view_query.c ${serve}/view_smaps.c ${serve}/view_task.c ${serve}/view_sys.c ${serve}/wait.c
    ${LULL_FUZZ_ROOT}/proxy/message.c ${LULL_FUZZ_ROOT}/proxy/ownfd.c ${LULL_FUZZ_ROOT}/proxy/program/openfile.c ${LULL_FUZZ_ROOT}/proxy/program/running.c ${LULL_FUZZ_ROOT}/proxy/rlimits.c ${LULL_FUZZ_ROOT}/proxy/sigstate.c
    ${LULL_FUZZ_ROOT}/proxy/systable.c)

add_executable(fuzz_channel_seeds channel_seeds.c)
set_target_properties(fuzz_channel_seeds PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                      ${CMAKE_CURRENT_BINARY_DIR})
target_link_libraries(fuzz_channel_seeds PRIVATE lull_proxy_base)
lull_fuzz(channel SEEDS fuzz_channel_seeds SOURCES channel.c ${channel_sources}
          LIBRARIES -lpthread)
lull_fuzz(channel_args SEEDS fuzz_channel_seeds SOURCES channel_args.c ${channel_sources}
          LIBRARIES -lpthread)
