#include "kernels/native/int8.h"
#include <chrono>
#include <cstdio>
#include <thread>
using namespace twinsae;
int main(){ for(int D: {576,768,4096}){ int64_t quads=D/4; 
 auto run=[&](){ std::vector<uint8_t> t(quads*48,130); std::vector<int8_t> p(quads*128*8,3); int32_t out[12*32];
 int reps=20000000/D*4; for(int i=0;i<reps;i++) avx512_vnni_isa.tile(t.data(),p.data()+(i%8)*quads*128,quads,out); return 2.0*reps*12*32*D;};
 run(); auto a=std::chrono::steady_clock::now(); double ops=run(); double s=std::chrono::duration<double>(std::chrono::steady_clock::now()-a).count(); printf("D %d one thread %.0f GOPS\n",D,ops/s/1e9);
 a=std::chrono::steady_clock::now(); std::thread th(run); ops=2*run(); th.join(); s=std::chrono::duration<double>(std::chrono::steady_clock::now()-a).count(); printf("D %d two threads %.0f GOPS\n",D,ops/s/1e9);}}
