import "./css/frame.css";
import "./css/parts.css";
import "./css/lists.css";
import "./css/finding.css";
import "./css/pages.css";
import "./css/settings.css";
import "./css/response.css";
import "./css/phone.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Look } from "./look";
import { makeQueryClient } from "./queries";
import { makeRouter } from "./routes";

const root = document.getElementById("root");
if (root) {
  const queries = makeQueryClient();
  const router = makeRouter(queries);
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <Look>
          <RouterProvider router={router} />
        </Look>
      </QueryClientProvider>
    </StrictMode>,
  );
}
