// Line and ring charts with one look. ECharts is fetched with the page that draws.
import { LineChart, PieChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import { type EChartsCoreOption, type EChartsType, init, use as install } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";
import { palette, type Scheme } from "../theme";

install([LineChart, PieChart, GridComponent, TooltipComponent, SVGRenderer]);

function Chart({ option, label }: { option: EChartsCoreOption; label: string }) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<EChartsType>(null);
  useEffect(() => {
    if (!box.current) return;
    const made = init(box.current, null, { renderer: "svg" });
    chart.current = made;
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      made.dispose();
    };
  }, []);
  // Options are data: the same drawn anew with every live event would only flicker.
  const drawn = JSON.stringify(option);
  useEffect(() => {
    chart.current?.setOption(JSON.parse(drawn) as EChartsCoreOption, { notMerge: true });
    // At once, not with the next frame: a chart is never seen blank.
    chart.current?.getZr().flush();
  }, [drawn]);
  return <div ref={box} className="chart" role="img" aria-label={label} />;
}

export interface Line {
  name: string;
  colour: string;
  /** Tells lines apart without their colours. */
  dash: "solid" | "dashed" | "dotted" | number[];
  values: number[];
}

interface LinesProps {
  label: string;
  days: string[];
  lines: Line[];
  scheme: Scheme;
}

export function Lines({ label, days, lines, scheme }: LinesProps) {
  const colours = palette(scheme);
  const most = Math.max(1, ...lines.flatMap((it) => it.values));
  const option: EChartsCoreOption = {
    animation: false,
    grid: { left: 8, right: 16, top: 12, bottom: 4, containLabel: true },
    tooltip: {
      trigger: "axis",
      backgroundColor: colours.surface,
      borderColor: colours.line,
      textStyle: { color: colours.text, fontSize: 12 },
    },
    xAxis: {
      type: "category",
      data: days,
      boundaryGap: false,
      axisLine: { lineStyle: { color: colours.line } },
      axisTick: { show: false },
      axisLabel: { color: colours.muted, fontSize: 11, hideOverlap: true },
    },
    yAxis: {
      type: "value",
      min: 0,
      max: most < 4 ? 4 : null,
      minInterval: 1,
      splitNumber: 4,
      axisLabel: { color: colours.muted, fontSize: 11 },
      splitLine: { lineStyle: { color: colours.line } },
    },
    series: lines.map((it) => ({
      type: "line",
      name: it.name,
      data: it.values,
      color: it.colour,
      symbol: "circle",
      symbolSize: 5,
      showSymbol: days.length <= 10,
      lineStyle: { width: 2, type: it.dash },
    })),
  };
  return (
    <>
      <Chart option={option} label={label} />
      <table className="for-readers">
        <caption>{label}</caption>
        <thead>
          <tr>
            <td />
            {lines.map((it) => (
              <th key={it.name} scope="col">
                {it.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {days.map((day, index) => (
            <tr key={day}>
              <th scope="row">{day}</th>
              {lines.map((it) => (
                <td key={it.name}>{it.values[index]}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

export interface Slice {
  name: string;
  value: number;
  colour: string;
}

interface RingProps {
  label: string;
  slices: Slice[];
  scheme: Scheme;
}

export function Ring({ label, slices, scheme }: RingProps) {
  const colours = palette(scheme);
  const empty = slices.every((it) => it.value === 0);
  const option: EChartsCoreOption = {
    animation: false,
    tooltip: {
      show: !empty,
      backgroundColor: colours.surface,
      borderColor: colours.line,
      textStyle: { color: colours.text, fontSize: 12 },
    },
    series: [
      {
        type: "pie",
        radius: ["66%", "92%"],
        label: { show: false },
        silent: empty,
        itemStyle: { borderColor: colours.surface, borderWidth: 2 },
        emphasis: { scale: false },
        data: empty
          ? [{ value: 1, name: "", itemStyle: { color: colours.sunken } }]
          : slices.map((it) => ({
              value: it.value,
              name: it.name,
              itemStyle: { color: it.colour },
            })),
      },
    ],
  };
  return <Chart option={option} label={label} />;
}
